"""Named points where a test makes the gateway fail; unarmed, each costs one look-up.

Nothing here reads the environment: only `gateway.testing.forked`, which production
never starts, arms a point. Every commit, send, rename, fsync and acknowledgement has
a point before and after it.
"""

from __future__ import annotations

from collections.abc import Callable

Fault = Callable[[str], None]

# Process-wide by nature: a fault strikes the process, whatever object is at work.
_armed: dict[str, Fault] = {}


def hit(name: str) -> None:
    """Pass the point ``name``: run the fault armed there, if any."""
    if _armed:
        fault = _armed.get(name) or _armed.get("*")
        if fault is not None:
            fault(name)


def arm(name: str, fault: Fault) -> None:
    """Let ``fault`` run when ``name`` is passed; ``*`` stands for every point."""
    _armed[name] = fault


def disarm() -> None:
    """Forget every armed fault."""
    _armed.clear()
