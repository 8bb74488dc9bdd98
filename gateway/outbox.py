"""The outbound door: deliveries enqueued once, attempted until done or dead.

``UNIQUE(message_id, target, purpose)`` makes enqueueing idempotent. A claim commits
the state *sending* before the other side is called, so after a crash we know that it
may have it; see `gateway.courier` for what follows from that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, false, insert, or_, select, update

from gateway import audit, cases, identity, jobs, messages
from gateway.jobs import Burial, Claim, ClaimRequest, NewJob, Retry
from gateway.model import (
    Address,
    Attachment,
    Case,
    DeliveryId,
    DeliveryState,
    Event,
    Message,
    Receipt,
    ReceiptStatus,
)
from gateway.store import schema
from gateway.store.prepared import Insertion, Prepared
from gateway.store.units import now

SERVICE: Final = "service"
CHANNEL: Final = "channel"


_ENCLOSURE: Final = "enclosure:"


def enclosure(position: int) -> str:
    """Name the purpose of a delivery that brings one file of its source alone."""
    return f"{_ENCLOSURE}{position}"


def queue_of(target: str) -> str:
    """Name the queue of a target: each has its own, so none waits for another."""
    return f"deliver:{target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A message to hand over to a target, for a purpose.

    ``source_id`` is the message whose attachments go along. ``lane`` keeps order. A
    citizen's ``recipient`` is looked up again when it is claimed.
    ``due_at``: not before then, unless its attachments are all there earlier.
    """

    message_id: str
    target: str
    purpose: str
    recipient: str
    lane: str
    case_id: str | None = None
    quote: str | None = None
    source_id: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A claimed delivery with all that its target needs."""

    claim: Claim
    id: DeliveryId
    target: str
    purpose: str
    recipient: str
    quote: str | None
    before: DeliveryState
    created_at: datetime
    message: Message
    case: Case | None
    attachments: tuple[Attachment, ...]
    last_inbound_at: datetime | None

    @property
    def maybe_sent(self) -> bool:
        """Tell whether an earlier attempt may have reached the other side."""
        return self.claim.crashed or self.before in _MAYBE_SENT

    @property
    def to(self) -> Address:
        """Return the citizen's address."""
        return Address.parse(self.recipient)


_MAYBE_SENT = {DeliveryState.SENDING, DeliveryState.UNKNOWN}
_RANK = {
    DeliveryState.PENDING: 0,
    DeliveryState.SENDING: 0,
    DeliveryState.UNKNOWN: 0,
    DeliveryState.DEAD: 0,
    DeliveryState.SENT: 1,
    DeliveryState.FAILED: 2,
    DeliveryState.DELIVERED: 3,
    DeliveryState.READ: 4,
}
_STATE_OF = {
    ReceiptStatus.SENT: DeliveryState.SENT,
    ReceiptStatus.DELIVERED: DeliveryState.DELIVERED,
    ReceiptStatus.READ: DeliveryState.READ,
    ReceiptStatus.FAILED: DeliveryState.FAILED,
}
_INSERT = Insertion(
    schema.delivery,
    [column.name for column in schema.delivery.c if column.name != "external_id"],
    only_new=True,
)
_INSERT_RECEIPT = Insertion(schema.receipt)


def enqueue(connection: Connection, deliveries: Sequence[NewDelivery]) -> set[str]:
    """Add deliveries, each once for ever; return the queues that have new work."""
    if not deliveries:
        return set()
    at = now(connection)
    ids = [identity.new_id() for _ in deliveries]
    rows = [
        _row(each, delivery_id, at)
        for each, delivery_id in zip(deliveries, ids, strict=True)
    ]
    inserted = _INSERT.execute(connection, rows)
    fresh = set(ids) if inserted == len(rows) else _stored(connection, ids)
    new = [
        NewJob(
            queue=queue_of(each.target),
            lane=each.lane,
            subject=delivery_id,
            due_at=each.due_at,
        )
        for each, delivery_id in zip(deliveries, ids, strict=True)
        if delivery_id in fresh
    ]
    jobs.enqueue(connection, new)
    return {job.queue for job in new}


def _stored(connection: Connection, ids: Sequence[str]) -> set[str]:
    table = schema.delivery
    rows = connection.execute(select(table.c.id).where(table.c.id.in_(ids)))
    return set(rows.scalars())


def _row(each: NewDelivery, delivery_id: str, at: datetime) -> dict[str, Any]:
    return {
        "id": delivery_id,
        "message_id": each.message_id,
        "case_id": each.case_id,
        "target": each.target,
        "purpose": each.purpose,
        "recipient": each.recipient,
        "quote": each.quote,
        "source_id": each.source_id,
        "state": DeliveryState.PENDING.value,
        "code": "",
        "created_at": at,
    }


_PARCELS = (
    select(
        schema.delivery,
        schema.message.c.body.label("said"),
        schema.message.c.channel,
        schema.message.c.external_id.label("said_id"),
        schema.message.c.created_at.label("said_at"),
        schema.cases.c.id.label("the_case"),
        schema.cases.c.number,
        schema.cases.c.service,
        schema.cases.c.status,
        schema.cases.c.opened_at,
        schema.conversation.c.last_inbound_at,
        schema.conversation.c.reply_to,
    )
    .join(schema.message, schema.message.c.id == schema.delivery.c.message_id)
    .outerjoin(schema.cases, schema.cases.c.id == schema.delivery.c.case_id)
    .outerjoin(
        schema.conversation,
        schema.conversation.c.id == schema.message.c.conversation_id,
    )
)
_SENDING = Prepared(
    update(schema.delivery)
    .where(schema.delivery.c.id == bindparam("claimed"))
    .values(state=DeliveryState.SENDING.value, recipient=bindparam("to"))
)


def claim_parcels(
    connection: Connection, requests: Sequence[ClaimRequest]
) -> list[list[Parcel]]:
    """Claim deliveries, and note before anything is sent that it may be."""
    claims = jobs.claim(connection, requests)
    every = [claim for each in claims for claim in each]
    parcels = _load(connection, every)
    rows = [
        {"claimed": parcel.id, "to": parcel.recipient}
        for parcel in parcels.values()
        if open_(parcel)
    ]
    if rows:
        _SENDING.execute(connection, rows)
    return [[parcels[claim.subject] for claim in each] for each in claims]


def open_(parcel: Parcel) -> bool:
    """Tell whether a delivery still needs sending: a receipt may have come first."""
    return _RANK[parcel.before] == 0


def _load(connection: Connection, claims: Sequence[Claim]) -> dict[str, Parcel]:
    if not claims:
        return {}
    by_subject = {claim.subject: claim for claim in claims}
    rows = connection.execute(
        _PARCELS.where(schema.delivery.c.id.in_(by_subject))
    ).all()
    sources = {row.source_id for row in rows if row.source_id}
    files = messages.load_attachments(connection, list(sources)) if sources else {}
    return {row.id: _parcel(row, by_subject[row.id], files) for row in rows}


def _parcel(
    row: Row[Any], claim: Claim, files: Mapping[str, list[Attachment]]
) -> Parcel:
    attachments = tuple(files.get(row.source_id, ()))
    if row.purpose.startswith(_ENCLOSURE):
        position = int(row.purpose.removeprefix(_ENCLOSURE))
        attachments = attachments[position : position + 1]
    return Parcel(
        claim=claim,
        id=DeliveryId(row.id),
        target=row.target,
        purpose=row.purpose,
        recipient=_recipient(row),
        quote=row.quote,
        before=DeliveryState(row.state),
        created_at=row.created_at,
        message=messages.from_row(_Said(row), attachments),
        case=cases.from_row(_Matter(row)) if row.the_case else None,
        attachments=attachments,
        last_inbound_at=row.last_inbound_at,
    )


def _recipient(row: Row[Any]) -> str:
    """Return whom a delivery is for by now.

    While it waited, the citizen may have got another number, and their old one may
    have been given to somebody else.
    """
    if row.target.startswith(f"{CHANNEL}:") and row.reply_to is not None:
        return str(row.reply_to)
    return str(row.recipient)


class _Said:
    """The message of a joined row, under the names of its own table."""

    def __init__(self, row: Row[Any]) -> None:
        self.id = row.message_id
        self.body = row.said
        self.channel = row.channel
        self.external_id = row.said_id
        self.created_at = row.said_at


class _Matter:
    """The case of a joined row, under the names of its own table."""

    def __init__(self, row: Row[Any]) -> None:
        self.id = row.the_case
        self.number = row.number
        self.service = row.service
        self.status = row.status
        self.opened_at = row.opened_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The other side took a delivery."""

    parcel: Parcel
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A delivery failed and will be tried again; ``state`` is PENDING or UNKNOWN."""

    parcel: Parcel
    state: DeliveryState
    due_at: datetime
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A delivery was given up."""

    parcel: Parcel
    code: str
    reason: str


_SET_STATE = Prepared(
    update(schema.delivery)
    .where(schema.delivery.c.id == bindparam("which"))
    .values(state=bindparam("becomes"), code=bindparam("because"))
)
_SET_SENT = Prepared(
    update(schema.delivery)
    .where(schema.delivery.c.id == bindparam("which"))
    .values(
        state=bindparam("becomes"),
        code=bindparam("because"),
        external_id=bindparam("theirs"),
    )
)


def record_sent(connection: Connection, sent: Sequence[Sent]) -> list[None]:
    """Finish deliveries that the other side took.

    Raises:
        StaleClaim: one is no longer ours to record.

    """
    jobs.finish(connection, [each.parcel.claim for each in sent])
    _SET_SENT.execute(connection, [_sent_row(each) for each in sent])
    _INSERT_RECEIPT.execute(
        connection, [_receipt_row(each.receipt, each.parcel.id) for each in sent]
    )
    _event(connection, "delivery.sent", [each.parcel for each in sent])
    _apply_early(connection, sent)
    return [None] * len(sent)


def _sent_row(each: Sent) -> dict[str, Any]:
    return {
        "which": each.parcel.id,
        "becomes": _STATE_OF[each.receipt.status].value,
        "because": each.receipt.code,
        "theirs": each.receipt.external_id or None,
    }


def _receipt_row(receipt: Receipt, delivery_id: str | None) -> dict[str, Any]:
    return {
        "id": identity.new_id(),
        "delivery_id": delivery_id,
        "external_id": receipt.external_id,
        "status": receipt.status.value,
        "at": receipt.at,
        "code": receipt.code,
        "reason": receipt.text,
    }


def _apply_early(connection: Connection, sent: Sequence[Sent]) -> None:
    """Apply receipts that came before our own record of the send."""
    ids = {
        each.receipt.external_id: each.parcel.id
        for each in sent
        if each.parcel.target.startswith(CHANNEL) and each.receipt.external_id
    }
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
        _advance(connection, delivery_id, ReceiptStatus(row.status), row.code)


def record_again(connection: Connection, again: Sequence[Again]) -> list[None]:
    """Put deliveries aside for another attempt.

    Raises:
        StaleClaim: one is no longer ours to record.

    """
    retries = [Retry(claim=each.parcel.claim, due_at=each.due_at) for each in again]
    jobs.retry(connection, retries)
    _SET_STATE.execute(
        connection,
        [
            {"which": e.parcel.id, "becomes": e.state.value, "because": e.code}
            for e in again
        ],
    )
    _event(connection, "delivery.retry", [each.parcel for each in again])
    return [None] * len(again)


def record_dead(connection: Connection, dead: Sequence[Dead]) -> list[None]:
    """Move deliveries to the dead letters, where staff see them.

    Raises:
        StaleClaim: one is no longer ours to record.

    """
    jobs.bury(
        connection,
        [Burial(claim=e.parcel.claim, code=e.code, reason=e.reason) for e in dead],
    )
    state = DeliveryState.DEAD.value
    _SET_STATE.execute(
        connection,
        [{"which": e.parcel.id, "becomes": state, "because": e.code} for e in dead],
    )
    return [None] * len(dead)


def _event(connection: Connection, action: str, parcels: Sequence[Parcel]) -> None:
    audit.record(
        connection,
        *(
            Event(
                action=action,
                subject=parcel.message.id,
                actor="gateway",
                data={
                    "delivery": parcel.id,
                    "target": parcel.target,
                    "purpose": parcel.purpose,
                    "attempt": parcel.claim.attempt,
                },
            )
            for parcel in parcels
        ),
    )


def apply_receipts(connection: Connection, receipts: Sequence[Receipt]) -> list[None]:
    """Record what the other side says; states only ever go forward.

    A receipt we can't match yet (our own record of the send is still to come) is kept
    and applied then.
    """
    for receipt in receipts:
        delivery_id = _find(connection, receipt)
        _INSERT_RECEIPT.execute(connection, [_receipt_row(receipt, delivery_id)])
        if delivery_id is not None:
            _advance(connection, delivery_id, receipt.status, receipt.code)
    return [None] * len(receipts)


def _find(connection: Connection, receipt: Receipt) -> str | None:
    table = schema.delivery
    names = (
        (table.c.id, receipt.delivery_id),
        (table.c.external_id, receipt.external_id),
    )
    conditions = [column == name for column, name in names if name]
    found = connection.execute(select(table.c.id).where(or_(false(), *conditions)))
    return found.scalars().first()


def _advance(
    connection: Connection, delivery_id: str, status: ReceiptStatus, code: str
) -> None:
    """Move a delivery forward; what was unknown is resolved, its retry cancelled."""
    table = schema.delivery
    row = connection.execute(
        select(table).where(table.c.id == delivery_id).with_for_update()
    ).one()
    before, after = DeliveryState(row.state), _STATE_OF[status]
    if _RANK[after] <= _RANK[before]:
        return
    connection.execute(
        update(table)
        .where(table.c.id == delivery_id)
        .values(state=after.value, code=code)
    )
    if _RANK[before] == 0:
        jobs.cancel(connection, delivery_id)
    if after is DeliveryState.FAILED:
        _bury_failed(connection, row, code)
    audit.record(
        connection,
        Event(
            action=f"delivery.{after.value}",
            subject=row.message_id,
            actor=row.target,
            data={"delivery": delivery_id, "code": code},
        ),
    )


def _bury_failed(connection: Connection, row: Row[Any], code: str) -> None:
    """Show staff a delivery that the other side took and then failed to deliver."""
    message = schema.message
    lane = connection.execute(
        select(message.c.conversation_id).where(message.c.id == row.message_id)
    ).scalar_one()
    connection.execute(
        insert(schema.dead_letter).values(
            id=identity.new_id(),
            queue=queue_of(row.target),
            lane=lane or row.id,
            subject=row.id,
            code=code or "failed",
            reason="the other side reports that it could not deliver",
            attempts=1,
            died_at=now(connection),
        )
    )


def wake_source(connection: Connection, source_id: str) -> set[str]:
    """Bring forward the deliveries that wait for a message's attachments."""
    table = schema.delivery
    rows = connection.execute(
        select(table.c.id, table.c.target).where(table.c.source_id == source_id)
    ).all()
    jobs.wake(connection, [row.id for row in rows])
    return {queue_of(row.target) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred:
    """One of our deliveries, as an answer refers to it."""

    delivery_id: str
    target: str
    case_id: str | None
    conversation_id: str | None


def find_referred(connection: Connection, references: Sequence[str]) -> Referred | None:
    """Return the delivery that the nearest known reference names."""
    table = schema.delivery
    rows = connection.execute(
        select(table, schema.cases.c.conversation_id)
        .outerjoin(schema.cases, schema.cases.c.id == table.c.case_id)
        .where(table.c.external_id.in_(references))
    ).all()
    known = {row.external_id: row for row in rows}
    for reference in references:
        if reference in known:
            row = known[reference]
            return Referred(
                delivery_id=row.id,
                target=row.target,
                case_id=row.case_id,
                conversation_id=row.conversation_id,
            )
    return None
