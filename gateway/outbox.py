"""The outbound door: deliveries enqueued once, attempted until done or dead.

``UNIQUE(message_id, target, purpose)`` makes enqueueing idempotent. A claim commits
the state *sending* before the other side is called, so after a crash we know that it
may have it; see `gateway.courier` for what follows from that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, select, update

from gateway import (
    audit,
    awaited,
    cases,
    dead_letters,
    deadlines,
    identity,
    jobs,
    ladder,
    messages,
    parts,
    rates,
    receipts,
    states,
)
from gateway.fallback import LATER, PassOn, pass_on
from gateway.jobs import Burial, Claim, ClaimRequest, NewJob, Retry
from gateway.model import (
    Address,
    Attachment,
    Author,
    Case,
    CaseStatus,
    DeliveryId,
    DeliveryState,
    Event,
    Message,
    Receipt,
    ServiceId,
    Urgency,
)
from gateway.rates import Limit
from gateway.receipts import RANK, STATE_OF
from gateway.store import schema
from gateway.store.prepared import Insertion, Prepared
from gateway.store.units import now
from gateway.targets import (
    CHANNEL,
    SERVICE,
    is_for,
    main_of,
    of_service,
    queue_of,
    service_of,
)

HANDOVER: Final = "handover"
ADDITION: Final = "addition"
"""A hand-over whose case the service has had before."""
FOLLOW_UP: Final = "follow-up"
"""The files that came after their message had been handed over."""
TARGET_DOWN: Final = "target_down"
"""Code of a delivery that waits for its target to come back."""
CASE_MOVED: Final = "case_moved"
"""Code of a delivery to a service that has lost the case: the other got it anew."""
NOT_DUE: Final = "not_due"
"""Code of a reminder of a case that has been answered, closed or moved meanwhile."""
CAMPAIGN: Final = "campaign"
FORWARDED: Final = "forwarded:"
"""Begins the purpose of a hand-over to the service that a case was given to."""
FURTHER: Final = ":further"


def forwarded(mark: str, *, further: bool) -> str:
    """Name the purpose of such a hand-over; of a case that the service knows by now?"""
    return f"{FORWARDED}{mark}{FURTHER if further else ''}"


def is_addition(purpose: str) -> bool:
    """Tell whether a service reads more of a case that it knows."""
    further = purpose.startswith(FORWARDED) and purpose.endswith(FURTHER)
    return further or purpose == ADDITION


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
    turns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A claimed delivery with all that its target needs.

    ``source_id`` is the message whose files these are, from the position ``first`` on.
    ``code`` is what its last attempt ended with. ``not_before``: its turn comes then.
    ``begun_at``: when it was claimed first, and so could go out.
    ``deadline`` is that of the case.
    ``rung`` as of `gateway.ladder`; ``lapsed``: nobody may be told there any more.
    """

    claim: Claim
    id: DeliveryId
    target: str
    purpose: str
    recipient: str
    quote: str | None
    before: DeliveryState
    created_at: datetime
    begun_at: datetime
    message: Message
    case: Case | None
    attachments: tuple[Attachment, ...]
    source_id: str | None
    first: int
    last_inbound_at: datetime | None
    conversation_id: str | None = None
    code: str = ""
    internal: bool = False
    not_before: datetime | None = None
    deadline: datetime | None = None
    rung: str | None = None
    lapsed: bool = False

    @property
    def maybe_sent(self) -> bool:
        """Tell whether an earlier attempt may have reached the other side."""
        return self.claim.crashed or self.before in _MAYBE_SENT

    @property
    def to(self) -> Address:
        """Return the citizen's address."""
        return Address.parse(self.recipient)


_MAYBE_SENT = {DeliveryState.SENDING, DeliveryState.UNKNOWN}
_INSERT = Insertion(
    schema.delivery,
    [c.name for c in schema.delivery.c if c.name not in LATER],
    only_new=True,
)


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
            turns=each.turns,
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
        schema.message.c.author,
        schema.message.c.channel,
        schema.message.c.conversation_id,
        schema.message.c.external_id.label("said_id"),
        schema.message.c.created_at.label("said_at"),
        schema.cases.c.id.label("the_case"),
        schema.cases.c.number,
        schema.cases.c.service,
        schema.cases.c.status,
        schema.cases.c.opened_at,
        schema.cases.c.deadline_at,
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
    .values(
        state=DeliveryState.SENDING.value,
        recipient=bindparam("to"),
        begun_at=bindparam("begun"),
    )
)


def claim_parcels(
    connection: Connection,
    requests: Sequence[ClaimRequest],
    limits: Callable[[Parcel], Collection[Limit]] | None = None,
) -> list[list[Parcel]]:
    """Claim deliveries, and note before anything is sent that it may be.

    With ``limits``, each gets its turn in them.
    """
    claims = jobs.claim(connection, requests)
    every = [claim for each in claims for claim in each]
    parcels = _load(connection, every)
    _look_after(connection, parcels)
    if limits is not None:
        _take_turns(connection, parcels, limits)
    rows = [
        {"claimed": parcel.id, "to": parcel.recipient, "begun": parcel.begun_at}
        for parcel in parcels.values()
        if open_(parcel) and not strayed(parcel) and not parcel.lapsed
    ]
    if rows:
        _SENDING.execute(connection, rows)
    return [[parcels[claim.subject] for claim in each] for each in claims]


def _look_after(connection: Connection, parcels: dict[str, Parcel]) -> None:
    """Mark what must not go to another address any more."""
    others = [i for i, parcel in parcels.items() if parcel.rung == ladder.OTHER_ADDRESS]
    for each in ladder.lapsed(connection, others) if others else ():
        parcels[each] = replace(parcels[each], lapsed=True)


def _take_turns(
    connection: Connection,
    parcels: dict[str, Parcel],
    limits: Callable[[Parcel], Collection[Limit]],
) -> None:
    going = [parcel for parcel in parcels.values() if open_(parcel)]
    going.sort(key=lambda parcel: parcel.claim.id)
    turns = rates.reserve(connection, [limits(parcel) for parcel in going])
    for parcel, turn in zip(going, turns, strict=True):
        parcels[str(parcel.id)] = replace(parcel, not_before=turn)


def open_(parcel: Parcel) -> bool:
    """Tell whether a delivery still needs sending: a receipt may have come first."""
    return RANK[parcel.before] == 0


def strayed(parcel: Parcel) -> str | None:
    """Return the code of why a service is not to get a delivery any more, if it isn't.

    It has lost the case, or never had it: of an overdue one another hears on purpose.
    Or it would hear of a deadline that is none by now.
    """
    if parcel.case is None or not parcel.target.startswith(f"{SERVICE}:"):
        return None
    urged = deadlines.urged_by(parcel.purpose)
    if urged is not None and not _is_due(parcel, urged[0]):
        return NOT_DUE
    if service_of(parcel.target) == parcel.case.service:
        return None
    told = urged is not None and urged[0] is Urgency.ESCALATION
    return None if told else CASE_MOVED


def _is_due(parcel: Parcel, urgency: Urgency) -> bool:
    """Tell whether the case still has the deadline of which a delivery tells."""
    if parcel.deadline is None:
        return False
    return parcel.purpose == deadlines.purpose_of(urgency, parcel.deadline)


def record_strayed(connection: Connection, parcels: Sequence[Parcel]) -> list[None]:
    """Send deliveries nowhere: nobody is waiting for them there any more.

    Raises:
        StaleClaim: one is no longer ours to record.

    """
    jobs.finish(connection, [parcel.claim for parcel in parcels])
    state = DeliveryState.PASSED_ON.value
    rows = [
        {"which": e.id, "becomes": state, "because": strayed(e), "theirs": None}
        for e in parcels
    ]
    _SET_STATE.execute(connection, rows)
    _event(connection, "delivery.withdrawn", parcels)
    return [None] * len(parcels)


def _load(connection: Connection, claims: Sequence[Claim]) -> dict[str, Parcel]:
    if not claims:
        return {}
    by_subject = {claim.subject: claim for claim in claims}
    rows = connection.execute(
        _PARCELS.where(schema.delivery.c.id.in_(by_subject))
    ).all()
    sources = {row.source_id for row in rows if row.source_id}
    files = messages.load_attachments(connection, list(sources)) if sources else {}
    at = now(connection)
    return {row.id: _parcel(row, by_subject[row.id], files, at) for row in rows}


def _parcel(
    row: Row[Any], claim: Claim, files: Mapping[str, list[Attachment]], at: datetime
) -> Parcel:
    attachments, first = tuple(files.get(row.source_id, ())), 0
    alone = parts.enclosed(row.purpose)
    if alone is not None:
        first, attachments = alone, attachments[alone : alone + 1]
    return Parcel(
        claim=claim,
        id=DeliveryId(row.id),
        target=row.target,
        purpose=row.purpose,
        recipient=_recipient(row),
        quote=row.quote,
        before=DeliveryState(row.state),
        created_at=row.created_at,
        begun_at=row.begun_at or at,
        message=messages.from_row(_Said(row), attachments),
        case=cases.from_row(_Matter(row)) if row.the_case else None,
        attachments=attachments,
        source_id=row.source_id,
        first=first,
        last_inbound_at=row.last_inbound_at,
        conversation_id=row.conversation_id,
        code=row.code,
        deadline=row.deadline_at,
        internal=row.author == Author.SERVICE.value,
        rung=row.rung,
    )


def _recipient(row: Row[Any]) -> str:
    """Return whom a delivery is for by now.

    While it waited, the citizen may have got another number, and their old one may
    have been given to somebody else.
    """
    # Where they agreed to another address, it is that or none.
    elsewhere = row.rung == ladder.OTHER_ADDRESS
    if row.target.startswith(f"{CHANNEL}:") and row.reply_to and not elsewhere:
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
    """A delivery failed and will be tried again; ``state`` is PENDING or UNKNOWN.

    ``held``: the flows in which nobody goes before that, since we were too fast.
    ``external_id``: how those may refer to it who have it all the same.
    """

    parcel: Parcel
    state: DeliveryState
    due_at: datetime
    code: str
    held: tuple[Limit, ...] = ()
    external_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A delivery was given up; ``doubtful``: it may have arrived all the same."""

    parcel: Parcel
    code: str
    reason: str
    doubtful: bool = False
    external_id: str = ""


_SET_STATE = Prepared(
    update(schema.delivery)
    .where(schema.delivery.c.id == bindparam("which"))
    .values(
        state=bindparam("becomes"),
        code=bindparam("because"),
        external_id=func.coalesce(bindparam("theirs"), schema.delivery.c.external_id),
    )
)
_SET_SENT = Prepared(
    update(schema.delivery)
    .where(schema.delivery.c.id == bindparam("which"))
    .values(
        state=bindparam("becomes"),
        code=bindparam("because"),
        external_id=bindparam("theirs"),
        rung=func.coalesce(schema.delivery.c.rung, bindparam("by")),
    )
)


def record_sent(connection: Connection, sent: Sequence[Sent]) -> list[None]:
    """Finish deliveries that the other side took.

    Raises:
        StaleClaim: one is no longer ours to record.

    """
    jobs.finish(connection, [each.parcel.claim for each in sent])
    _SET_SENT.execute(connection, [_sent_row(each) for each in sent])
    _note_taken(connection, [each.parcel for each in sent])
    receipts.store(connection, [(each.receipt, each.parcel.id) for each in sent])
    for each in sent:
        awaited.expect(connection, each.parcel.id, each.receipt)
    _event(connection, "delivery.sent", [each.parcel for each in sent])
    receipts.apply_early(
        connection,
        {
            each.receipt.external_id: each.parcel.id
            for each in sent
            if each.parcel.target.startswith(CHANNEL) and each.receipt.external_id
        },
    )
    return [None] * len(sent)


def _note_taken(connection: Connection, parcels: Sequence[Parcel]) -> None:
    """Note which cases are with their services now."""
    whose = [
        case
        for parcel in parcels
        if (case := parcel.case) and main_of(parcel.target) == of_service(case.service)
    ]
    for status, transition in (
        (CaseStatus.NEW, states.HANDED_OVER),
        (CaseStatus.WAITING, states.UNDECIDED),
    ):
        moves = [
            states.Move(case_id=case.id, by="gateway", held_by=case.service)
            for case in whose
            if case.status is status
        ]
        states.change(connection, transition, moves)


def _sent_row(each: Sent) -> dict[str, Any]:
    return {
        "which": each.parcel.id,
        "becomes": STATE_OF[each.receipt.status].value,
        "because": each.receipt.code,
        "theirs": each.receipt.external_id or None,
        "by": ladder.TEMPLATE if each.receipt.by_template else None,
    }


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
            {
                "which": e.parcel.id,
                "becomes": e.state.value,
                "because": e.code,
                "theirs": e.external_id or None,
            }
            for e in again
        ],
    )
    for each in again:
        rates.hold(connection, each.held, each.due_at)
    # What only waits for a target that is down was not tried.
    tried = [each.parcel for each in again if each.code != TARGET_DOWN]
    _event(connection, "delivery.retry", tried)
    named = {e.external_id: e.parcel.id for e in again if e.external_id}
    receipts.apply_early(connection, named)
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
        [
            {
                "which": e.parcel.id,
                "becomes": state,
                "because": e.code,
                "theirs": e.external_id or None,
            }
            for e in dead
        ],
    )
    return [None] * len(dead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A delivery was given to the service's next connector, ``to``.

    ``doubtful``: the one it was for may have it all the same.
    """

    parcel: Parcel
    to: str
    code: str
    doubtful: bool


def record_passed(connection: Connection, passed: Sequence[Passed]) -> list[set[str]]:
    """Give deliveries to the next connectors; return the queues with new work.

    Raises:
        StaleClaim: one is no longer ours to record.

    """
    jobs.finish(connection, [each.parcel.claim for each in passed])
    moves = [
        PassOn(
            delivery_id=each.parcel.id,
            to=each.to,
            code=each.code,
            doubtful=each.doubtful,
        )
        for each in passed
    ]
    return [pass_on(connection, moves)] * len(passed)


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


def wake_source(connection: Connection, source_id: str) -> set[str]:
    """Bring forward the deliveries that wait for a message's attachments.

    Those of a case that waits for its citizen's choice go on waiting.
    """
    table, case = schema.delivery, schema.cases
    rows = connection.execute(
        select(table.c.id, table.c.target)
        .outerjoin(case, case.c.id == table.c.case_id)
        .where(
            table.c.source_id == source_id,
            func.coalesce(case.c.status, "") != CaseStatus.WAITING.value,
        )
    ).all()
    jobs.wake(connection, [row.id for row in rows])
    return {queue_of(row.target) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred:
    """What we handed over, as an answer refers to it.

    ``proven``: by an id that only who has had our delivery knows.
    """

    target: str
    case_id: str | None
    conversation_id: str | None
    proven: bool
    delivery_id: str | None = None


def wake_waiting(connection: Connection, target: str, most: int) -> int:
    """Bring forward what waits for a target that is back; return how many at once."""
    table, job = schema.delivery, schema.job
    waiting = (
        select(table.c.id)
        .join(job, job.c.subject == table.c.id)
        .where(
            job.c.queue == queue_of(target),
            job.c.state == jobs.WAITING,
            table.c.code == TARGET_DOWN,
        )
        .limit(most)
    )
    found = connection.execute(waiting).scalars().all()
    jobs.wake(connection, found)
    return len(found)


def find_numbered(connection: Connection, numbers: Sequence[str]) -> Referred | None:
    """Return the first known case of ``numbers``, as its service would answer it."""
    known = cases.by_number(connection, numbers)
    for number in numbers:
        if number in known:
            row = known[number]
            return Referred(
                target=of_service(row.service),
                case_id=row.id,
                conversation_id=row.conversation_id,
                proven=False,
            )
    return None


def find_handed(
    connection: Connection, service: ServiceId, number: str
) -> Referred | None:
    """Return the case of that number, if ``service`` has ever been handed it."""
    delivery, row = schema.delivery, cases.by_number(connection, [number]).get(number)
    if row is None:
        return None
    handed = select(delivery.c.id).where(
        delivery.c.case_id == row.id, is_for(delivery.c.target, service)
    )
    if connection.execute(handed.limit(1)).first() is None:
        return None
    return Referred(
        target=of_service(service),
        case_id=row.id,
        conversation_id=row.conversation_id,
        proven=True,
    )


def find_referred(connection: Connection, references: Sequence[str]) -> Referred | None:
    """Return the delivery that the nearest known reference names."""
    table, receipt = schema.delivery, schema.receipt
    columns = (table, schema.cases.c.conversation_id)
    ours = select(*columns, table.c.external_id.label("named"))
    theirs = select(*columns, receipt.c.reference.label("named")).join(
        receipt, receipt.c.delivery_id == table.c.id
    )
    found = (
        ours.where(table.c.external_id.in_(references)),
        theirs.where(receipt.c.reference.in_(references)),
    )
    known = {
        row.named: row
        for statement in found
        for row in connection.execute(
            statement.outerjoin(schema.cases, schema.cases.c.id == table.c.case_id)
        )
    }
    for reference in references:
        if reference in known:
            row = known[reference]
            return Referred(
                target=main_of(row.target),
                case_id=row.case_id,
                conversation_id=row.conversation_id,
                proven=True,
                delivery_id=row.id,
            )
    return None


def resurrect(connection: Connection, dead_letter_id: str, actor: str) -> None:
    """Try a dead letter again; a delivery that the other side has failed is sent anew.

    Raises:
        NotFound: there is no open dead letter of that id.

    """
    subject = dead_letters.resurrect(connection, dead_letter_id, actor)
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id == subject, table.c.state == DeliveryState.FAILED.value)
        .values(state=DeliveryState.PENDING.value, external_id=None)
    )
