"""What the other side says about our deliveries; states only ever go forward.

But for one that was passed on, and arrives all the same: then it is the next that is
recalled.

A receipt may come before our own record of the send: it is kept, and applied then. One
that says *failed* may ask for another attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import Connection, Row, false, func, insert, or_, select, update

from gateway import audit, awaited, identity, jobs, ladder, recalling, states
from gateway.fallback import PassOn, Successors, pass_on
from gateway.jobs import NewJob
from gateway.ladder import Ladder
from gateway.model import DeliveryState, Event, Receipt, ReceiptStatus
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now
from gateway.targets import SERVICE, queue_of, service_of

RANK: Final = {
    DeliveryState.PENDING: 0,
    DeliveryState.SENDING: 0,
    DeliveryState.UNKNOWN: 0,
    DeliveryState.DEAD: 0,
    DeliveryState.SENT: 1,
    DeliveryState.FAILED: 2,
    DeliveryState.DELIVERED: 3,
    DeliveryState.READ: 4,
    DeliveryState.PASSED_ON: 5,
}
STATE_OF: Final = {
    ReceiptStatus.SENT: DeliveryState.SENT,
    ReceiptStatus.DELIVERED: DeliveryState.DELIVERED,
    ReceiptStatus.READ: DeliveryState.READ,
    ReceiptStatus.FAILED: DeliveryState.FAILED,
}
MOST_FAILURES: Final = 4
"""How often the other side may report a failure before a delivery is given up."""

_FIRST_PAUSE = timedelta(seconds=30)
_INSERT = Insertion(schema.receipt)


@dataclass(frozen=True, slots=True)
class _Ways:
    """How what the other side failed may go on."""

    successors: Successors = field(default_factory=dict)
    rungs: Ladder | None = None


_NO_WAYS = _Ways()


def store(
    connection: Connection,
    pairs: Sequence[tuple[Receipt, str | None]],
    evidence: str | None = None,
) -> None:
    """Keep receipts, each with the delivery that it is about, if we know which.

    ``evidence`` is the stored item that they were read from.
    """
    rows = [
        {
            "id": identity.new_id(),
            "delivery_id": delivery_id,
            "external_id": receipt.external_id,
            "status": receipt.status.value,
            "at": receipt.at,
            "code": receipt.code,
            "reason": receipt.text,
            "inbox_id": evidence,
            "recipient": receipt.recipient,
            "reference": receipt.reference or None,
        }
        for receipt, delivery_id in pairs
    ]
    _INSERT.execute(connection, rows)


def apply(
    connection: Connection,
    receipts: Sequence[Receipt],
    evidence: Sequence[str] = (),
    successors: Successors | None = None,
    rungs: Ladder | None = None,
) -> list[None]:
    """Record what the other side says, and draw the conclusions.

    ``evidence`` names the stored item that each was read from. What a target with a
    successor could not deliver goes to that one, an answer up the ladder.
    """
    ways = _Ways(successors or {}, rungs)
    for receipt, item in zip_longest(receipts, evidence):
        delivery_id = _find(connection, receipt)
        store(connection, [(receipt, delivery_id)], item)
        if delivery_id is not None:
            _advance(connection, delivery_id, receipt, ways)
    return [None] * len(receipts)


def strange(connection: Connection, receipts: Sequence[Receipt]) -> set[str]:
    """Return the ids that receipts give as our own, without any other, and aren't."""
    named = {
        str(receipt.delivery_id)
        for receipt in receipts
        if receipt.delivery_id and not receipt.external_id
    }
    if not named:
        return set()
    column = schema.delivery.c.id
    return named - set(
        connection.execute(select(column).where(column.in_(named))).scalars()
    )


def apply_early(connection: Connection, ids: Mapping[str, str]) -> None:
    """Apply what came before our own record: foreign ids → deliveries."""
    if not ids:
        return
    table = schema.receipt
    early = connection.execute(
        select(table).where(table.c.external_id.in_(ids), table.c.delivery_id.is_(None))
    ).all()
    for row in early:
        delivery_id = ids[row.external_id]
        connection.execute(
            update(table).where(table.c.id == row.id).values(delivery_id=delivery_id)
        )
        receipt = Receipt(
            status=ReceiptStatus(row.status),
            at=row.at,
            external_id=row.external_id,
            code=row.code,
        )
        _advance(connection, delivery_id, receipt, _NO_WAYS)


def _find(connection: Connection, receipt: Receipt) -> str | None:
    table = schema.delivery
    names = (
        (table.c.id, receipt.delivery_id),
        (table.c.external_id, receipt.external_id),
    )
    conditions = [column == name for column, name in names if name]
    found = connection.execute(select(table.c.id).where(or_(false(), *conditions)))
    return found.scalars().first()


def _is_outdated(connection: Connection, receipt: Receipt) -> bool:
    """Tell whether this is about an attempt that is known to have failed since."""
    if receipt.status is not ReceiptStatus.SENT or not receipt.external_id:
        return False
    table = schema.receipt
    failed = select(table.c.id).where(
        table.c.external_id == receipt.external_id,
        table.c.status == ReceiptStatus.FAILED.value,
    )
    return connection.execute(failed).first() is not None


def _advance(
    connection: Connection, delivery_id: str, receipt: Receipt, ways: _Ways
) -> None:
    """Move a delivery forward; what was unknown is resolved, its retry cancelled."""
    table, code = schema.delivery, receipt.code
    row = connection.execute(
        select(table).where(table.c.id == delivery_id).with_for_update()
    ).one()
    before = DeliveryState(row.state)
    if before is DeliveryState.PASSED_ON:
        _after_all(connection, row, receipt)
        return
    if RANK[before] == 0 and row.external_id is not None:
        # It bears an id: some have it, others not yet, or never. This is of the first.
        if receipt.status is ReceiptStatus.FAILED:
            _failed(connection, row, code, _NO_WAYS, again=False)
        return
    if RANK[before] < RANK[DeliveryState.FAILED]:
        awaited.expect(connection, delivery_id, receipt)
    after = _after(connection, row, receipt)
    if RANK[after] <= RANK[before] or _is_outdated(connection, receipt):
        return
    connection.execute(
        update(table)
        .where(table.c.id == delivery_id)
        .values(state=after.value, code=code)
    )
    if RANK[before] == 0:
        jobs.cancel(connection, delivery_id)
    if RANK[after] >= RANK[DeliveryState.FAILED]:
        awaited.settle(connection, delivery_id)
    audit.record(
        connection,
        Event(
            action=f"delivery.{after.value}",
            subject=row.message_id,
            actor=row.target,
            data={"delivery": delivery_id, "code": code},
        ),
    )
    if RANK[before] == 0 and after is not DeliveryState.FAILED:
        _note_taken(connection, row)
    if after is DeliveryState.FAILED:
        _failed(connection, row, receipt.code, ways, again=receipt.retryable)


def _after_all(connection: Connection, row: Row[Any], receipt: Receipt) -> None:
    """Note that a delivery has arrived which the service's next connector was given."""
    after = _after(connection, row, receipt)
    rest = recalling.others(connection, row)
    # One that was withdrawn, the case having moved, has no other in its place.
    if RANK[after] < RANK[DeliveryState.DELIVERED] or not rest:
        return
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id == row.id)
        .values(state=after.value, code=receipt.code)
    )
    event = Event(
        action=f"delivery.{after.value}",
        subject=row.message_id,
        actor=row.target,
        data={"delivery": row.id, "code": receipt.code},
    )
    audit.record(connection, event)
    recalling.recall(connection, row, rest)
    _note_taken(connection, row)


def _note_taken(connection: Connection, row: Row[Any]) -> None:
    """Note that a service has its case now, if it hasn't been known before."""
    if row.case_id is None or not row.target.startswith(f"{SERVICE}:"):
        return
    move = states.Move(
        case_id=row.case_id, by="gateway", held_by=service_of(row.target)
    )
    for transition in (states.HANDED_OVER, states.UNDECIDED):
        states.change(connection, transition, [move])


def _after(connection: Connection, row: Row[Any], receipt: Receipt) -> DeliveryState:
    """Return where a receipt puts a delivery, which may have several recipients."""
    after, expects = STATE_OF[receipt.status], receipt.expects
    if after is DeliveryState.FAILED or not (receipt.recipient or expects):
        return after
    told = expects.recipients if expects else None
    awaits = row.awaits if told is None else told
    table = schema.receipt
    delivered = connection.execute(
        select(func.count(table.c.recipient.distinct())).where(
            table.c.delivery_id == row.id,
            table.c.status == ReceiptStatus.DELIVERED.value,
        )
    ).scalar_one()
    if delivered and delivered >= awaits:
        return DeliveryState.DELIVERED
    return DeliveryState.SENT if after is DeliveryState.DELIVERED else after


def _failed(
    connection: Connection,
    row: Row[Any],
    code: str,
    ways: _Ways,
    *,
    again: bool,
) -> None:
    """Try a failed delivery again, some times; then pass it on, or show it to staff."""
    message, receipt = schema.message, schema.receipt
    lane = (
        connection.execute(
            select(message.c.conversation_id).where(message.c.id == row.message_id)
        ).scalar_one()
        or row.id
    )
    failures = connection.execute(
        select(func.count()).where(
            receipt.c.delivery_id == row.id,
            receipt.c.status == ReceiptStatus.FAILED.value,
        )
    ).scalar_one()
    if again and failures < MOST_FAILURES:
        _enqueue_again(connection, row, lane, failures)
        return
    if row.target in ways.successors:
        # Where it has several recipients, another may have it.
        move = PassOn(
            delivery_id=row.id,
            to=ways.successors[row.target],
            code=code or "failed",
            doubtful=row.awaits > 1,
        )
        pass_on(connection, [move])
        return
    if (
        ways.rungs is not None
        and row.awaits == 1
        and ladder.climb(connection, ways.rungs, row.id, code or "failed") is not None
    ):
        return
    connection.execute(
        insert(schema.dead_letter).values(
            id=identity.new_id(),
            queue=queue_of(row.target),
            lane=lane,
            subject=row.id,
            code=code or "failed",
            reason="the other side reports that it could not deliver",
            attempts=failures,
            died_at=now(connection),
        )
    )


def _enqueue_again(
    connection: Connection, row: Row[Any], lane: str, failures: int
) -> None:
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id == row.id)
        .values(state=DeliveryState.PENDING.value, external_id=None)
    )
    due_at = now(connection) + _FIRST_PAUSE * 4 ** (failures - 1)
    job = NewJob(queue=queue_of(row.target), lane=lane, subject=row.id, due_at=due_at)
    jobs.enqueue(connection, [job])
