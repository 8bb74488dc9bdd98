"""Hands events to observers, detached from the stream and bounded."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from gateway.host.guard import GuardedCall
from gateway.model import Event

log = structlog.get_logger()

CAPACITY = 1000
"""Events that may wait for one observer; beyond it the oldest are forgotten."""

DRAIN_SECONDS = 5.0
"""How long waiting events may still take when the gateway stops."""


class Observer:
    """One plugin that sees events, in their order, in a task of its own."""

    def __init__(self, call: GuardedCall[None]) -> None:
        self._call = call
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None
        self._forgotten = 0

    def tell(self, event: Event) -> None:
        """Queue ``event``; never waits."""
        if len(self._waiting) >= CAPACITY:
            self._waiting.popleft()
            self._forgotten += 1
        self._waiting.append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(
                self._work(), name=f"observer {self._call.plugin}"
            )

    async def _work(self) -> None:
        while self._waiting:
            await self._call(self._waiting.popleft())
        if self._forgotten:
            forgotten, self._forgotten = self._forgotten, 0
            log.warning(
                "events_not_observed", plugin=self._call.plugin, count=forgotten
            )

    async def close(self) -> None:
        """Let what waits be seen, for a while; then stop."""
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=DRAIN_SECONDS)
        if not done:
            log.warning("events_not_observed", plugin=self._call.plugin)
            self._task.cancel()
            await asyncio.wait([self._task])
