"""Observers are detached and bounded."""

import asyncio

from structlog.testing import capture_logs

from gateway.host import Timeouts, observers
from gateway.model import Event


def event(subject):
    return Event(action="a", subject=str(subject), actor="gateway")


async def test_flood(enable, implement, monkeypatch):
    """Beyond its capacity the oldest events are forgotten, counted, and told once."""
    monkeypatch.setattr(observers, "CAPACITY", 3)
    seen = []

    async def observe(self, event):
        seen.append(event.subject)

    host = enable(a=implement("observe_event", observe))
    with capture_logs() as logs:
        for subject in range(5):
            await host.observe(event(subject))
        await host.shutdown()

    assert seen == ["2", "3", "4"]
    assert [(log["event"], log["count"]) for log in logs] == [
        ("events_not_observed", 2)
    ]


async def test_failure_goes_on(enable, implement):
    """A failure on one event does not keep the next from being seen."""
    seen = []

    async def observe(self, event):
        seen.append(event.subject)
        raise ValueError

    host = enable(a=implement("observe_event", observe))
    for subject in range(3):
        await host.observe(event(subject))
    await host.shutdown()

    assert seen == ["0", "1", "2"]


async def test_between_bursts(enable, implement):
    """An observer that had nothing left to do sees what comes later."""
    seen = asyncio.Queue()

    async def observe(self, event):
        await seen.put(event.subject)

    host = enable(a=implement("observe_event", observe))
    for subject in range(2):
        await host.observe(event(subject))
        assert await seen.get() == str(subject)
        await host._observers[0]._task


async def test_hanging_at_shutdown(enable, implement, monkeypatch):
    """An observer that hangs is given up when the gateway stops, and that is told."""
    monkeypatch.setattr(observers, "DRAIN_SECONDS", 0.01)

    async def observe(self, event):
        await asyncio.Event().wait()

    host = enable(a=implement("observe_event", observe))
    host.timeouts = Timeouts(observe=60)
    await host.observe(event(1))
    with capture_logs() as logs:
        await host.shutdown()

    assert [log["event"] for log in logs] == ["events_not_observed"]
    assert host._observers[0]._task.cancelled()
