"""The plugin: its section, its verdicts, its health, as the host sees them."""

from importlib.metadata import entry_points

import pytest
from gateway_moderation import ModerationConfig, ModerationPlugin
from pydantic import ValidationError

from gateway.errors import PluginError
from gateway.host import PluginHost
from gateway.model import Action, Health, HealthStatus, Span, Verdict


def test_entry_point_names_the_plugin():
    """The plugin is found as ``moderation`` and knows its section."""
    [entry] = entry_points(group="gateway.plugins", name="moderation")

    assert entry.load() is ModerationPlugin
    assert ModerationPlugin.config is ModerationConfig


async def test_verdict(started, message):
    """A listed word gives a verdict with its place, the rule, and why in Italian."""
    plugin, context = await started()

    assert await plugin.moderate_message(context, message("Ma va, stronzo!")) == (
        Verdict(
            action=Action.HOLD,
            rule="offensive-language",
            reason="Linguaggio offensivo: il testo contiene parole o espressioni"
            " non ammesse dalle regole di comportamento (regola «offensive-language»).",
            source="moderation",
            evidence=(Span(start=7, end=14),),
        )
    )


@pytest.mark.parametrize("text", ["", "C'è una buca in via Dante"])
async def test_no_verdict(started, message, text):
    """A message without a listed word is not judged."""
    plugin, context = await started()

    assert await plugin.moderate_message(context, message(text)) is None


@pytest.mark.parametrize(
    ("action", "expected"), [("hold", Action.HOLD), ("flag", Action.FLAG)]
)
async def test_action(started, message, action, expected):
    """The city decides what a listed word leads to."""
    plugin, context = await started(action=action)
    verdict = await plugin.moderate_message(context, message("stronzo"))

    assert verdict.action is expected


async def test_city_list_alone(started, message, tmp_path):
    """Without the builtin list only the city's own words count."""
    own = tmp_path / "parole.txt"
    own.write_text("azzeccagarbugli\n", "utf-8")
    plugin, context = await started(lists=[own], builtin=False)
    told = [
        await plugin.moderate_message(context, message(text))
        for text in ("Azzeccagarbugli!", "stronzo")
    ]

    assert [verdict is not None for verdict in told] == [True, False]


async def test_health_counts_words(started, tmp_path):
    """Health tells how many words are looked for, the city's own among them."""
    own = tmp_path / "parole.txt"
    own.write_text("azzeccagarbugli\ntesta di rapa\n", "utf-8")
    plugin, _ = await started(lists=[own])

    expected = Health(status=HealthStatus.OK, text="111 words and phrases")
    assert expected == await plugin.check_health()


async def test_no_words_is_degraded(started):
    """A moderator that looks for nothing says so."""
    plugin, _ = await started(builtin=False)

    expected = Health(status=HealthStatus.DEGRADED, text="0 words and phrases")
    assert expected == await plugin.check_health()


async def test_unreadable_list_stops_the_start(context, tmp_path):
    """The host says which list of which plugin, and what to do."""
    own = tmp_path / "parole.txt"
    own.write_bytes(b"perch\xe9")
    host = PluginHost()
    host.load(["moderation"], tmp_path)
    host.bind({"moderation": context(lists=[own])})

    wanted = r"plugin moderation: startup failed: word list .*parole\.txt is not UTF-8"
    with pytest.raises(PluginError, match=wanted):
        await host.startup()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"lists": ["nowhere.txt"]}, "lists"),
        ({"lists": ["."]}, "lists"),
        ({"action": "reject"}, "action"),
        ({"builtin": "maybe"}, "builtin"),
        ({"list": []}, "list"),
    ],
    ids=str,
)
def test_wrong_settings(settings, key):
    """Each wrong setting is told under its own key."""
    with pytest.raises(ValidationError) as caught:
        ModerationConfig(**settings)

    assert key == caught.value.errors()[0]["loc"][0]
