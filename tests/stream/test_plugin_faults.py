"""A plugin that fails, on each hook: the stream goes on, and health shows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from small_city import small_city

from gateway.model import Assignment, Event, Message, Verdict
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema


async def raises() -> Any:
    raise ZeroDivisionError


async def hangs() -> Any:
    await asyncio.Event().wait()


async def talks_nonsense() -> Any:
    return 42


async def blocks() -> Any:
    time.sleep(0.4)  # noqa: ASYNC251 (the fault under test)
    return None


FAULTS = {f.__name__: f for f in (raises, hangs, talks_nonsense)}


def broken(hook: str, fault: Callable[[], Any]) -> Plugin[NoConfig]:
    """Return a plugin whose ``hook`` has a fault."""

    class Enrich(Plugin[NoConfig]):
        @hookimpl
        async def enrich_message(self, message: Message) -> Message | None:
            return await fault()

    class Moderate(Plugin[NoConfig]):
        @hookimpl
        async def moderate_message(self, message: Message) -> Verdict | None:
            return await fault()

    class Route(Plugin[NoConfig]):
        @hookimpl
        async def route_message(self, message: Message) -> Assignment | None:
            return await fault()

    class Observe(Plugin[NoConfig]):
        @hookimpl
        async def observe_event(self, event: Event) -> None:
            await fault()

    kinds = {"enrich": Enrich, "moderate": Moderate, "route": Route, "observe": Observe}
    return kinds[hook]()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("hook", ["enrich", "route", "observe"])
async def test_fault_does_not_stop_the_stream(tmp_path, hook, fault):
    """Enrichment is skipped and flagged, routing falls back, observing is detached."""
    async with small_city(tmp_path, broken(hook, fault)) as city:
        await city.say(text="ciao")
        await city.settle()

        (handover,) = city.outside.handovers
        assert "urp" == handover.service
        expected = ("enrich-failed:plugin0",) if hook == "enrich" else ()
        assert expected == handover.message.flags


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_faulty_moderator_holds(tmp_path, fault):
    """Never lost, never passed unseen: staff judge what the moderator could not."""
    async with small_city(tmp_path, broken("moderate", fault)) as city:
        await city.say(text="ciao")
        await city.settle()

        assert [] == city.outside.handovers
        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        assert "moderation-unavailable" in held.reason


async def test_plugin_that_keeps_failing_is_paused_and_shown(tmp_path):
    """After some failures in a row the hook is left alone, and health says so."""
    async with (
        small_city(tmp_path, broken("enrich", raises)) as city,
        aiohttp.ClientSession() as http,
    ):
        for _ in range(8):
            await city.say(text="ciao")
        await city.settle()

        async with http.get(f"{city.url}/readyz") as response:
            state = await response.json()
        assert (True, "degraded") == (state["ready"], state["status"])
        assert "degraded" == state["plugins"]["plugin0"]["status"]
        assert 8 == len(city.outside.handovers)


async def test_plugin_that_blocks_the_loop_delays_and_loses_nothing(tmp_path):
    """Blocking can't be stopped in process; everything still arrives."""
    async with small_city(tmp_path, broken("route", blocks)) as city:
        for number in range(3):
            await city.say(sender=f"p{number}", text="ciao")
        await city.settle()

        assert 3 == len(city.outside.handovers)
