"""Notices when something blocks the event loop, and says what.

A blocked loop can't report on itself, so a daemon thread looks at it from outside.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import FrameType

import structlog

from gateway.model import Health, HealthStatus

log = structlog.get_logger()

_STACK_TOP = 3


class LoopWatchdog:
    """Watches one event loop; times are in seconds.

    ``limit``: without a tick for so long, the loop counts as blocked.
    ``memory``: how long the node counts as degraded afterwards.
    """

    def __init__(self, *, limit: float = 1.0, memory: float = 30.0) -> None:
        self._limit = limit
        self._memory = memory
        self._ticked_at = 0.0
        self._blocked_at: float | None = None
        self._recovered_at: float | None = None
        self._where = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._tick: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch the running loop; called on it."""
        loop = asyncio.get_running_loop()
        self._stopping.clear()
        self._ticked(loop)
        self._thread = threading.Thread(
            target=self._watch,
            args=(threading.get_ident(),),
            name="loop-watchdog",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; called on the loop."""
        self._stopping.set()
        if self._tick is not None:
            self._tick.cancel()
        if self._thread is not None:
            self._thread.join()

    def health(self) -> Health:
        """Say how the loop is; safe from any thread, also while it is blocked."""
        now = time.monotonic()
        if self._blocked_at is not None:
            text = f"the event loop is blocked for {now - self._ticked_at:.1f} s"
            return Health(status=HealthStatus.DOWN, text=f"{text}, in {self._where}")
        if self._recovered_at is not None and now - self._recovered_at < self._memory:
            ago = now - self._recovered_at
            text = f"the event loop was blocked until {ago:.0f} s ago, in {self._where}"
            return Health(status=HealthStatus.DEGRADED, text=text)
        return Health(status=HealthStatus.OK)

    def _ticked(self, loop: asyncio.AbstractEventLoop) -> None:
        """Show that the loop turns, and do so again soon."""
        self._ticked_at = time.monotonic()
        self._tick = loop.call_later(self._limit / 4, self._ticked, loop)

    def _watch(self, loop_thread: int) -> None:
        """Look at the ticks, in a thread of our own."""
        while not self._stopping.wait(self._limit / 4):
            late = time.monotonic() - self._ticked_at
            if late > self._limit and self._blocked_at is None:
                self._block(loop_thread)
            elif late <= self._limit and self._blocked_at is not None:
                self._recover()

    def _block(self, loop_thread: int) -> None:
        # CPython only, and the one way to see what another thread is doing.
        frame = sys._current_frames().get(loop_thread)  # noqa: SLF001 (documented API)
        self._where = _stack_top(frame)
        self._blocked_at = self._ticked_at
        log.error("loop_blocked", where=self._where)

    def _recover(self) -> None:
        blocked_at, self._blocked_at = self._blocked_at, None
        self._recovered_at = time.monotonic()
        seconds = self._recovered_at - (blocked_at or self._recovered_at)
        log.warning("loop_recovered", seconds=round(seconds, 1))


def _stack_top(frame: FrameType | None) -> str:
    """Return the innermost calls as ``file:line function``, innermost first."""
    calls: list[str] = []
    while frame is not None and len(calls) < _STACK_TOP:
        code = frame.f_code
        calls.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(calls) or "unknown"
