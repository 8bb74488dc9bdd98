"""The layers in their order: choice, rules, model, question."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from gateway_routing import RoutingConfig, RoutingPlugin

from gateway.errors import PluginError
from gateway.model import Address, ChannelId, Message, MessageId
from gateway.testing.kit import make_context

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
MESSAGE = Message(
    id=MessageId("m1"),
    channel=ChannelId("urp"),
    external_id="wamid.1",
    sender=Address("whatsapp", "1"),
    sent_at=NOW,
    received_at=NOW,
)
TOPICS = [
    {"service": "strade", "title": "Strade"},
    {"service": "verde", "title": "Verde"},
    {"service": "urp", "title": "Altro"},
]


@pytest.fixture
def started(model_file):
    """Start the plugin with a model, and services if not all."""

    async def started(services=(), **model):
        config = {
            "rules": [{"service": "strade", "words": ["buca"]}],
            "model": {"file": model_file, **model},
            "question": {"otherwise": "urp", "topics": TOPICS},
        }
        plugin = RoutingPlugin()
        context = make_context(None, config=RoutingConfig.model_validate(config))
        await plugin.startup(replace(context, services=tuple(services)))
        return plugin

    return started


@pytest.mark.parametrize(
    ("text", "layer", "service"),
    [
        ("una buca al parco giochi", "rules", "strade"),
        ("l'altalena del parco è rotta", "model", "verde"),
        ("l'altalena del parco è rotta. " * 20, "model", "verde"),
        ("buongiorno", "question", "urp"),
        ("Verde", "choice", "verde"),
    ],
)
async def test_first_that_is_sure(started, text, layer, service):
    """Rules before the model, the model before the citizen; a choice before all."""
    found = await (await started()).route_message(replace(MESSAGE, text=text))

    assert (layer, service) == (found.grounds.layer, found.service)


async def test_unsure_model_orders_the_question(started):
    """Below the threshold the citizen is asked, the likely topics first."""
    plugin = await started(min_confidence=1.0)
    found = await plugin.route_message(replace(MESSAGE, text="l'altalena del parco"))

    titles = [option.title for option in found.question.menu.options]
    assert ("question", "Verde") == (found.grounds.layer, titles[0])
    assert {"Strade", "Verde", "Altro"} == set(titles)
    assert "verde" == found.grounds.alternatives[0].service


async def test_service_that_is_gone(started):
    """What the city has given up is never named, though the model knows it."""
    plugin = await started(services=("strade", "urp"), min_confidence=0.0)
    found = await plugin.route_message(replace(MESSAGE, text="l'altalena del parco"))

    assert "strade" == found.service


async def test_no_model_file(tmp_path):
    """The gateway doesn't start, and says what makes one."""
    config = RoutingConfig.model_validate({"model": {"file": tmp_path / "x.npz"}})

    with pytest.raises(PluginError, match="gateway routing train"):
        await RoutingPlugin().startup(make_context(None, config=config))
