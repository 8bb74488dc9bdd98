"""The plugin: its section and its assignments, as the host sees them."""

from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from gateway_routing import RoutingConfig, RoutingPlugin
from pydantic import ValidationError

from gateway.config import Document, Kinds, load
from gateway.errors import ConfigError
from gateway.host import PluginHost
from gateway.model import Address, ChannelId, Message, MessageId, ServiceId
from gateway.testing.kit import make_context

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
MESSAGE = Message(
    id=MessageId("m1"),
    channel=ChannelId("urp"),
    external_id="wamid.1",
    sender=Address("whatsapp", "1"),
    sent_at=NOW,
    received_at=NOW,
    text="C'è una buca in via Dante",
)
CONFIG = RoutingConfig(rules=[{"service": "strade", "words": ["buca"]}])


@pytest.fixture
async def host():
    """A host with the plugin, started."""
    host = PluginHost()
    host.load(["routing"], Path())
    host.bind({"routing": make_context(None, config=CONFIG)})
    await host.startup()
    return host


def test_entry_point_names_the_plugin():
    """The plugin is found as ``routing`` and knows its section."""
    [entry] = entry_points(group="gateway.plugins", name="routing")

    assert entry.load() is RoutingPlugin
    assert RoutingPlugin.config is RoutingConfig


async def test_assigned(host):
    """The host gets the service that the rules name."""
    assert (await host.route(MESSAGE)).service == "strade"


async def test_unknown_service_goes_to_the_default(host):
    """A rule for a service that the city doesn't have assigns nothing."""
    host.known_services = frozenset({ServiceId("urp")})

    assert await host.route(MESSAGE) is None


def test_rule_for_a_service_that_is_not_configured(tmp_path):
    """Such a rule is refused, with its line and the services there are."""
    source = (Path(__file__).parent / "data" / "unknown-service.toml").read_bytes()
    document = Document.parse(tmp_path / "gateway.toml", source)
    plugins = {"routing": RoutingConfig}

    with pytest.raises(ConfigError) as caught:
        load(document, Kinds(channels={}, connectors={}, plugins=plugins))

    [problem] = [p for p in caught.value.problems if "rules" in p.key]
    assert (9, "plugins.routing.rules[1].service") == (problem.line, problem.key)
    assert "text 'strada' (did you mean strade?)" == problem.found
    assert "one of: urp, strade" == problem.allowed


@pytest.mark.parametrize(
    "word", ["", "*", "due parole", "l'acqua", "*buca", "bu*ca", "bu**", "buca,", " a "]
)
def test_wrong_words(word):
    """A keyword that could never match is told, with what to write."""
    with pytest.raises(ValidationError, match="write one word of letters and digits"):
        RoutingConfig(rules=[{"service": "strade", "words": [word]}])


@pytest.mark.parametrize(
    "rule",
    [
        {"service": "strade"},
        {"service": "strade", "words": []},
        {"service": "", "words": ["buca"]},
        {"words": ["buca"]},
        {"service": "strade", "words": "buca"},
        {"service": "strade", "words": ["buca"], "weight": 0},
        {"service": "strade", "words": ["buca"], "wort": ["x"]},
        {"service": "strade", "weight": 2},
        {"service": "strade", "attachments": ["pdf"]},
        {"service": "strade", "languages": ["English"]},
        {"service": "strade", "classifications": [""]},
        {"service": "strade", "classifications": ["*"]},
        {"service": "strade", "classifications": ["VI.*.1"]},
        {"service": "strade", "classifications": [" VI.5"]},
    ],
    ids=str,
)
def test_wrong_rules(rule):
    """A rule has a service and at least one condition, and nothing else."""
    with pytest.raises(ValidationError):
        RoutingConfig(rules=[rule])


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("buca(", "missing \\)"),
        (r"(buca)\1", "invalid escape"),
        ("(?=buca)", "invalid perl operator"),
        ("(buca)?", "does not match every text"),
        ("(((a{100}){100}){100})", "RE2's syntax"),
    ],
)
def test_wrong_patterns(pattern, complaint):
    """What RE2 can't take is told with its reason; so is what matches all texts."""
    with pytest.raises(ValidationError, match=complaint):
        RoutingConfig(rules=[{"service": "strade", "patterns": [pattern]}])
