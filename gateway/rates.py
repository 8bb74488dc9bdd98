"""How fast we may send: a provider's limits, kept by all nodes together.

A token bucket, written as the time at which it is full again (GCRA, ITU-T I.371 annex
A): one row for each flow, and a reservation is one addition. Who comes too early is
told when to go; reservations of a flow come due in the order in which they were made.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store import schema
from gateway.store.prepared import Prepared
from gateway.store.units import now

_rate = schema.rate
_BEGIN = {
    "sqlite": sqlite.insert(_rate).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_rate).on_conflict_do_nothing(),
}
_MOVE = Prepared(
    update(_rate)
    .where(_rate.c.name == bindparam("flow"))
    .values(due_at=bindparam("until"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One each ``interval`` in the flow ``name``, and ``burst`` of them at once.

    ``each_recipient`` tells a flow to one recipient from the one to all of them.
    """

    name: str
    interval: timedelta
    burst: int = 1
    each_recipient: bool = False

    @property
    def credit(self) -> timedelta:
        """Return by how much the flow may run ahead of its rate."""
        return self.interval * (self.burst - 1)


def reserve(
    connection: Connection, flows: Sequence[Collection[Limit]]
) -> list[datetime]:
    """Take a turn for each of ``flows`` in order, in all of its limits; say when it is.

    A turn that is not used is not given back: it was paid for by waiting.
    """
    at = now(connection)
    full_at = _load(connection, {limit.name for each in flows for limit in each}, at)
    turns = [take(full_at, limits, at) for limits in flows]
    _store(connection, full_at)
    return turns


def take(
    full_at: dict[str, datetime], limits: Collection[Limit], at: datetime
) -> datetime:
    """Take a turn at the time ``at``; say when it is, and note it in ``full_at``."""
    due = max([at, *(full_at[limit.name] - limit.credit for limit in limits)])
    for limit in limits:
        full_at[limit.name] = max(full_at[limit.name], at) + limit.interval
    return due


def try_now(connection: Connection, limits: Sequence[Limit]) -> list[bool]:
    """Take a turn in each of ``limits`` that has one now; say which had.

    A turn that would come later is not taken.
    """
    at = now(connection)
    full_at = _load(connection, {limit.name for limit in limits}, at)
    had = []
    for limit in limits:
        is_free = full_at[limit.name] - limit.credit <= at
        if is_free:
            take(full_at, [limit], at)
        had.append(is_free)
    _store(connection, full_at)
    return had


def hold(connection: Connection, limits: Collection[Limit], until: datetime) -> None:
    """Let nobody go before ``until``: the provider said that we are too fast."""
    full_at = _load(connection, {limit.name for limit in limits}, now(connection))
    for limit in limits:
        full_at[limit.name] = max(full_at[limit.name], until + limit.credit)
    _store(connection, full_at)


def forget(connection: Connection) -> int:
    """Remove the flows that have nothing left to wait for; return how many."""
    gone = connection.execute(delete(_rate).where(_rate.c.due_at < now(connection)))
    return gone.rowcount


def _load(
    connection: Connection, names: Collection[str], at: datetime
) -> dict[str, datetime]:
    """Return when each flow is full again, and keep other nodes from taking turns."""
    if not names:
        return {}
    # By name, so that no two nodes wait for each other; a row that is not there yet
    # can't be locked.
    rows = [{"name": name, "due_at": at} for name in sorted(names)]
    connection.execute(_BEGIN[connection.dialect.name], rows)
    found = connection.execute(
        select(_rate)
        .where(_rate.c.name.in_(sorted(names)))
        .order_by(_rate.c.name)
        .with_for_update()
    )
    return {row.name: row.due_at for row in found}


def _store(connection: Connection, full_at: dict[str, datetime]) -> None:
    if full_at:
        rows = [{"flow": name, "until": at} for name, at in sorted(full_at.items())]
        _MOVE.execute(connection, rows)
