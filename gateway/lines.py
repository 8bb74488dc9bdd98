"""Queues inside a target: so many of each line at once, in the order they came."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.channel import Line

PARKED = 32
"""How many may wait in lines without taking the others' places."""


@dataclass(slots=True)
class _Way:
    """A line that somebody uses now."""

    places: asyncio.Semaphore
    users: int = 0


@dataclass(slots=True)
class Lines:
    """The lines of one target."""

    waiting: int = 0
    """How many wait for their turn now."""

    _ways: dict[str, _Way] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def turn(
        self, line: Line | None, seconds: float, stopping: asyncio.Event
    ) -> AsyncIterator[bool]:
        """Wait for a place in ``line``; tell whether there was one in ``seconds``.

        Not, too, if the crew is ``stopping`` meanwhile. The place is kept inside.
        """
        if line is None:
            yield True
            return
        way = self._ways.setdefault(line.name, _Way(asyncio.Semaphore(line.width)))
        way.users += 1
        try:
            came = await self._wait(way.places, seconds, stopping)
            try:
                yield came
            finally:
                if came:
                    way.places.release()
        finally:
            way.users -= 1
            if not way.users:
                del self._ways[line.name]

    async def _wait(
        self, places: asyncio.Semaphore, seconds: float, stopping: asyncio.Event
    ) -> bool:
        if not places.locked():
            await places.acquire()
            return True
        self.waiting += 1
        both = (
            place := asyncio.ensure_future(places.acquire()),
            asyncio.ensure_future(stopping.wait()),
        )
        kept = False
        try:
            await asyncio.wait(
                both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            kept = place.done() and not stopping.is_set()
        finally:
            self.waiting -= 1
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            if not kept and not place.cancelled():
                places.release()
        return kept
