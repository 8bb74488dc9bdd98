"""Arms failpoints: ``name=kill``, ``name=raise``, ``name=cancel``, each ``@n``-th time.

``store.before_commit=kill@3;courier.after_send=raise`` kills the process at the third
commit and lets every send fail after it took effect.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from gateway import failpoints
from gateway.errors import StoreUnavailable
from gateway.store.units import tasks_in_commit

VARIABLE = "GATEWAY_FAILPOINTS"
MARK = "GATEWAY_FAULT_MARK"
"""Names a file that is made when a fault strikes: a test must see that it did."""


class InjectedFaultError(StoreUnavailable):
    """The exception that an armed point raises."""


def arm_from_environment() -> None:
    """Arm what the environment asks for; nothing if it asks for nothing."""
    for clause in filter(None, os.environ.get(VARIABLE, "").split(";")):
        name, _, action = clause.partition("=")
        kind, _, nth = action.partition("@")
        failpoints.arm(name, Nth(int(nth or 1), ACTIONS[kind]))


class Nth:
    """Runs an action the n-th time a point is passed, and only then."""

    def __init__(self, nth: int, action: Callable[[str], None]) -> None:
        """Wait for the ``nth`` time, counted from one."""
        self._left = nth
        self._action = action

    def __call__(self, name: str) -> None:
        """Count; act when the time has come."""
        self._left -= 1
        if self._left == 0:
            if mark := os.environ.get(MARK):
                Path(mark).touch()
            self._action(name)


def kill(name: str) -> None:
    """End the process at once, as a power switch would for its memory."""
    del name
    os.kill(os.getpid(), signal.SIGKILL)


def fail(name: str) -> None:
    """Raise an error that says which point failed."""
    raise InjectedFaultError(f"failpoint {name}")


def cancel(name: str) -> None:
    """Cancel whatever awaits this point: the running task, or all in the commit."""
    del name
    try:
        running = asyncio.current_task()
    except RuntimeError:  # a database thread: there is no loop in it
        for waiting in tasks_in_commit():
            waiting.get_loop().call_soon_threadsafe(waiting.cancel)
    else:
        if running is not None:
            running.cancel()


ACTIONS: dict[str, Callable[[str], None]] = {
    "kill": kill,
    "raise": fail,
    "cancel": cancel,
}
