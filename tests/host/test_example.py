"""The example of a plugin in one file works as it stands."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model import Action, Event, Health, HealthStatus

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def city(host, context):
    """A host with the example, named as an allow-list names it, started."""
    host.load(["examples/one_file_plugin.py:UrgentWords"], ROOT)
    host.bind({"one_file_plugin": context})
    await host.startup()
    return host


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("C'è una FUGA DI GAS in via Dante!", [Action.FLAG]),
        ("Un ferito in piazza Yenne", [Action.FLAG]),
        ("C'è una buca in via Dante", []),
        ("", []),
    ],
)
async def test_flags_danger(city, message, text, actions):
    """Messages that speak of danger are flagged, others not judged."""
    verdicts = await city.moderate(replace(message, text=text))

    assert actions == [verdict.action for verdict in verdicts]


async def test_counts_events(city):
    """Its health tells what it has seen."""
    for action in ("message.received", "case.opened", "message.received"):
        await city.observe(Event(action=action, subject="m1", actor="gateway"))
    await city.shutdown()

    text = "message.received: 2, case.opened: 1"
    expected = {"one_file_plugin": Health(status=HealthStatus.OK, text=text)}
    assert expected == await city.check_health()


async def test_says_when_nothing_happened(city):
    """A counter without events says so."""
    text = "nothing happened yet"

    assert text == (await city.check_health())["one_file_plugin"].text


def test_is_short():
    """An example that grows is no example any more."""
    example = ROOT / "examples" / "one_file_plugin.py"

    assert len(example.read_text().splitlines()) < 40
