"""Deliveries to targets that are no longer configured, and how staff hand them on.

Nobody works on their queues. What was for another connector of a service goes to one
that is left; what was for a service that is gone goes, with its case, to another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from gateway import (
    audit,
    blocks,
    correcting,
    dead_letters,
    deadlines,
    depths,
    errands,
    jobs,
)
from gateway.city import City
from gateway.depths import QueueDepth
from gateway.errors import CaseError
from gateway.fallback import PassOn, pass_on
from gateway.model import CaseStatus, DeliveryState, Event, Urgency
from gateway.store import schema
from gateway.targets import CHANNEL, SERVICE, is_for, main_of, queue_of, service_of

MOVED: Final = "moved_by_staff"
"""Code of a delivery that staff have handed to another target."""

_UNDOUBTED: Final = {DeliveryState.PENDING.value, DeliveryState.FAILED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """To hand what waits for the target ``before`` to the target ``after``.

    Dead letters too, with ``dead_letters``; on the record as done by ``by``.
    """

    before: str
    after: str
    by: str
    dead_letters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How many deliveries were handed on, with how many cases, and how many were left.

    Left is what is being sent, or was when a daemon ended, and, where a case would have
    to change its service, what is of a closed one.
    """

    cases: int = 0
    handed: int = 0
    left: int = 0

    def __add__(self, other: Moved) -> Moved:
        """Return the sum."""
        return Moved(
            cases=self.cases + other.cases,
            handed=self.handed + other.handed,
            left=self.left + other.left,
        )


def found(
    connection: Connection, targets: Collection[str], channels: Collection[str]
) -> dict[str, QueueDepth]:
    """Return the queues of targets and channels that are not configured, with work."""
    attended = {
        *map(queue_of, targets),
        *map(errands.fetch_queue, channels),
        *map(blocks.queue_of, channels),
    }
    prefixes = (queue_of(""), errands.fetch_queue(""), blocks.queue_of(""))
    return {
        queue: depth
        for queue, depth in sorted(depths.measure(connection).items())
        if queue.startswith(prefixes) and queue not in attended
    }


def require_sense(order: Order, targets: Collection[str]) -> None:
    """Make sure that an order can be carried out.

    Raises:
        CaseError: the text says why it can't, and what can.

    """
    known = sorted(each for each in targets if each.startswith(f"{SERVICE}:"))
    if order.before.startswith(f"{CHANNEL}:"):
        text = (
            f"{order.before}: what is for citizens is never handed to another channel;"
            " configure a channel of that id again"
        )
    elif order.before in targets:
        text = f"{order.before} is configured: what waits for it goes there"
    elif order.after not in known:
        text = f"{order.after} is not configured; there are: {', '.join(known)}"
    elif main_of(order.before) == main_of(order.after):
        return
    elif main_of(order.before) in targets:
        text = f"{order.before} can go only to {main_of(order.before)} and its others"
    elif order.before != main_of(order.before) or order.after != main_of(order.after):
        text = (
            f"another service gets it whole: --from {main_of(order.before)}"
            f" --to {main_of(order.after)}"
        )
    else:
        return
    raise CaseError(text)


def waiting(connection: Connection, order: Order) -> list[str]:
    """Return the deliveries that an order is about, oldest first."""
    job, letter, table = schema.job, schema.dead_letter, schema.delivery
    ids = set(
        connection.execute(
            select(job.c.subject).where(_is_of(job.c.queue, order))
        ).scalars()
    )
    if order.dead_letters:
        letters = select(letter.c.subject).where(
            _is_of(letter.c.queue, order), letter.c.resolution.is_(None)
        )
        ids |= set(connection.execute(letters).scalars())
    # By case, so that all of one is handed on together.
    found = connection.execute(select(table.c.id, table.c.case_id))
    theirs = {row.id: row.case_id or "" for row in found if row.id in ids}
    return sorted(theirs, key=lambda each: (theirs[each], each))


def _is_of(column: ColumnElement[Any], order: Order) -> ColumnElement[bool]:
    queue = queue_of(order.before)
    if _stays(order):
        return column == queue
    return or_(column == queue, column.startswith(f"{queue}/", autoescape=True))


def _stays(order: Order) -> bool:
    """Tell whether the service stays the same."""
    return main_of(order.before) == main_of(order.after)


def move(connection: Connection, order: Order, ids: Sequence[str], city: City) -> Moved:
    """Hand on what waits, each delivery once, and on the record.

    The cases of a service that is gone go to the other as by `correcting.move`.
    """
    rows = _load(connection, order, ids)
    if _stays(order):
        taken = _take(connection, order, rows)
        _pass_on(connection, order, taken)
        return Moved(handed=len(taken), left=len(rows) - len(taken))
    staying = _staying(connection, rows)
    going = [row for row in rows if row.id not in staying]
    lost, service = service_of(order.before), service_of(order.after)
    numbers = {row.number for row in going if row.service == lost}
    for number in sorted(numbers):
        correcting.move(connection, number, service, city, by=order.by, reason=MOVED)
    # What has not gone with its case: it is of another's, or had left before.
    rest = _load(connection, order, [row.id for row in going])
    taken = _take(connection, order, rest)
    escalations = [row for row in taken if _is_escalation(row)]
    _pass_on(connection, order, escalations)
    _withdraw(connection, order, [row for row in taken if row not in escalations])
    return Moved(cases=len(numbers), handed=len(going), left=len(staying))


def _load(connection: Connection, order: Order, ids: Sequence[str]) -> list[Row[Any]]:
    """Return those of the deliveries that are still the order's, with their cases."""
    table, case = schema.delivery, schema.cases
    found = connection.execute(
        select(table, case.c.number, case.c.service, case.c.status)
        .outerjoin(case, case.c.id == table.c.case_id)
        .where(
            table.c.id.in_(ids),
            table.c.target == order.before
            if _stays(order)
            else is_for(table.c.target, service_of(order.before)),
        )
        .order_by(table.c.id)
    )
    return list(found)


def _staying(connection: Connection, rows: Sequence[Row[Any]]) -> set[str]:
    """Return what can't go to another service: closed, or about to be sent."""
    job = schema.job
    running = connection.execute(
        select(job.c.subject).where(
            job.c.subject.in_([row.id for row in rows]), job.c.state == jobs.RUNNING
        )
    )
    ids = set(running.scalars())
    cases = {row.case_id for row in rows if row.id in ids}
    return {
        row.id
        for row in rows
        if row.case_id in cases or row.status == CaseStatus.CLOSED.value
    }


def _take(
    connection: Connection, order: Order, rows: Sequence[Row[Any]]
) -> list[Row[Any]]:
    """Take the work away that nobody is at, and close the dead letters."""
    ids = [row.id for row in rows]
    taken = jobs.take_idle(connection, ids) if ids else set()
    if order.dead_letters and ids:
        letter = schema.dead_letter
        letters = connection.execute(
            select(letter.c.id, letter.c.subject).where(
                letter.c.subject.in_(ids), letter.c.resolution.is_(None)
            )
        ).all()
        for each in letters:
            note = f"moved to {order.after}"
            dead_letters.discard(connection, each.id, note, order.by)
        taken |= {each.subject for each in letters}
    return [row for row in rows if row.id in taken]


def _pass_on(connection: Connection, order: Order, rows: Sequence[Row[Any]]) -> None:
    moves = [
        PassOn(
            delivery_id=row.id,
            to=order.after,
            code=MOVED,
            doubtful=row.state not in _UNDOUBTED,
            actor=order.by,
        )
        for row in rows
    ]
    if moves:
        pass_on(connection, moves)


def _is_escalation(row: Row[Any]) -> bool:
    urged = deadlines.urged_by(row.purpose)
    return urged is not None and urged[0] is Urgency.ESCALATION


def _withdraw(connection: Connection, order: Order, rows: Sequence[Row[Any]]) -> None:
    """Send to nobody what the service that has the case now got anew."""
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id.in_([row.id for row in rows]))
        .values(state=DeliveryState.PASSED_ON.value, code=MOVED)
    )
    audit.record(
        connection,
        *(
            Event(
                action="delivery.withdrawn",
                subject=row.message_id,
                actor=order.by,
                data={
                    "delivery": row.id,
                    "target": row.target,
                    "purpose": row.purpose,
                },
            )
            for row in rows
        ),
    )
