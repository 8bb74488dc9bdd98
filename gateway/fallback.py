"""From one connector of a service to its next, when the first could not deliver.

The next gets a delivery of its own; the first one stays on the record as passed on.
Where nobody can tell whether the first took it, the event says that the office may have
it twice, and the new delivery begins in doubt, so that its connector says so too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select, update

from gateway import audit, identity, jobs
from gateway.jobs import NewJob
from gateway.model import DeliveryState, Event
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now
from gateway.targets import queue_of

Successors = Mapping[str, str]
"""Each target that has a fallback, with that one's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOn:
    """A delivery to be given to the target ``to``, and why.

    ``doubtful``: the target it was for may have it all the same. ``actor`` is who says
    so, on the record.
    """

    delivery_id: str
    to: str
    code: str
    doubtful: bool
    actor: str = "gateway"


LATER: Final = frozenset({"external_id", "awaits", "begun_at", "rung", "instead_of"})
"""What a delivery has not when it is made."""

_INSERT = Insertion(
    schema.delivery,
    [c.name for c in schema.delivery.c if c.name not in LATER],
    only_new=True,
)


def pass_on(connection: Connection, moves: Sequence[PassOn]) -> set[str]:
    """Give deliveries to the next targets; return the queues that have new work.

    Their own jobs are the caller's to finish.
    """
    table = schema.delivery
    found = connection.execute(
        select(table).where(table.c.id.in_([move.delivery_id for move in moves]))
    ).all()
    rows = {row.id: row for row in found}
    pairs = [(move, rows[move.delivery_id]) for move in moves]
    return set().union(*(_pass_on(connection, move, row) for move, row in pairs))


def _pass_on(connection: Connection, move: PassOn, row: Any) -> set[str]:
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id == row.id)
        .values(state=DeliveryState.PASSED_ON.value, code=move.code)
    )
    new = _successor(row, move) | {"created_at": now(connection)}
    given = new["id"]
    if _INSERT.execute(connection, [new]) == 0:
        # It has been given to that one before; if that one passed it on, it comes back.
        given = _come_back(connection, new)
        if given is None:
            return set()
    queue = queue_of(move.to)
    lane = row.case_id or row.id
    jobs.enqueue(connection, [NewJob(queue=queue, lane=lane, subject=given)])
    event = Event(
        action="delivery.passed_on",
        subject=row.message_id,
        actor=move.actor,
        data={
            "delivery": row.id,
            "target": row.target,
            "code": move.code,
            "to": move.to,
            "as": given,
            "maybe_twice": move.doubtful,
        },
    )
    audit.record(connection, event)
    return {queue}


def _come_back(connection: Connection, new: Mapping[str, Any]) -> str | None:
    """Open the delivery that a target has passed on itself; None if it has not.

    Whether it has arrived there nobody can tell any more.
    """
    table = schema.delivery
    opened = connection.execute(
        update(table)
        .where(
            table.c.message_id == new["message_id"],
            table.c.target == new["target"],
            table.c.purpose == new["purpose"],
            table.c.state == DeliveryState.PASSED_ON.value,
        )
        .values(
            state=DeliveryState.UNKNOWN.value,
            code="",
            external_id=None,
            begun_at=None,
        )
        .returning(table.c.id)
    )
    found = opened.scalar_one_or_none()
    return None if found is None else str(found)


def _successor(row: Any, move: PassOn) -> dict[str, Any]:
    doubtful = DeliveryState.UNKNOWN if move.doubtful else DeliveryState.PENDING
    kept = ("message_id", "case_id", "purpose", "recipient", "quote", "source_id")
    return {
        **{name: getattr(row, name) for name in kept},
        "id": identity.new_id(),
        "target": move.to,
        "state": doubtful.value,
        "code": "",
    }
