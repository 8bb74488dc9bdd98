"""What the pipeline decided, written in one unit of work: the record of the stream.

Every function takes many outcomes, so that a busy moment costs few statements.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from gateway import amendments, audit, cases, identity, jobs, messages, outbox, texts
from gateway.cases import Matter, Numbering
from gateway.contacts import Sender, find_contacts, find_conversations
from gateway.errors import NotFound
from gateway.jobs import Claim, NewJob
from gateway.model import (
    Action,
    Amendment,
    Assignment,
    AttachmentState,
    Author,
    Case,
    ChannelId,
    Direction,
    Event,
    Message,
    MessageState,
    ServiceId,
)
from gateway.outbox import CHANNEL, SERVICE, NewDelivery, Referred
from gateway.outcome import Filed, Outcome
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now
from gateway.texts import Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """What the record needs to know of the city's configuration."""

    texts: Texts
    services: Mapping[ServiceId, str]
    numbering: Numbering
    join: timedelta
    acknowledge: bool
    wait_for_attachments: timedelta
    split: Mapping[ChannelId, Callable[[str], Sequence[str]]] = field(
        default_factory=dict
    )
    """How a channel makes several messages of a long text."""

    files_apart: Collection[ChannelId] = ()
    """Channels on which each file is a message of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A service's answer, and the delivery it refers to.

    ``state`` is HELD if it must not reach the citizen by itself.
    """

    claim: Claim
    message: Message
    referred: Referred
    state: MessageState
    reason: str


_INSERT_VERDICT = Insertion(schema.verdict)
_INSERT_ASSIGNMENT = Insertion(schema.assignment)


def fetch_queue(channel: str) -> str:
    """Name the queue of a channel's attachments that are still to be fetched."""
    return f"fetch:{channel}"


class Recorder:
    """Writes outcomes; one for each gateway."""

    def __init__(self, city: City) -> None:
        """Write as ``city`` wants it."""
        self._city = city

    def record_outcomes(
        self, connection: Connection, decided: Sequence[tuple[Claim, Outcome]]
    ) -> list[set[str]]:
        """Record what was decided; return the queues with new work, for each.

        Raises:
            StaleClaim: one of the claims no longer holds.

        """
        jobs.finish(connection, [claim for claim, _ in decided])
        outcomes = [outcome for _, outcome in decided]
        filed = self._file(connection, outcomes)
        _store(connection, filed)
        deliveries = [d for each in filed for d in self._deliveries(connection, each)]
        queues = outbox.enqueue(connection, deliveries)
        queues |= _enqueue_fetches(connection, [each.message for each in outcomes])
        audit.record(connection, *(e for each in filed for e in _events(each)))
        return [queues] * len(outcomes)

    def _file(self, connection: Connection, outcomes: Sequence[Outcome]) -> list[Filed]:
        said = [outcome.message for outcome in outcomes]
        contacts = find_contacts(
            connection,
            [Sender(message=o.message, identified=o.contact) for o in outcomes],
        )
        conversations = find_conversations(connection, said, contacts)
        pairs = list(zip(outcomes, conversations, strict=True))
        filed = amendments.file(connection, pairs)
        rest = [p for p in pairs if p[0].message.id not in filed]
        accepted = [p for p in rest if p[0].state is MessageState.PROCESSED]
        found = iter(self._cases(connection, accepted))
        for o, c in rest:
            case, new = None, False
            if o.state is MessageState.PROCESSED:
                case, new = next(found)
            filed[o.message.id] = Filed(
                outcome=o, conversation_id=c, case=case, new=new
            )
        return [filed[outcome.message.id] for outcome in outcomes]

    def _cases(
        self, connection: Connection, accepted: Sequence[tuple[Outcome, str]]
    ) -> list[tuple[Case, bool]]:
        if not accepted:
            return []
        matters = [
            Matter(
                conversation_id=conversation_id,
                service=outcome.assignment.service,
                at=outcome.message.received_at,
            )
            for outcome, conversation_id in accepted
        ]
        city = self._city
        return cases.assign_cases(connection, matters, city.numbering, city.join)

    def _deliveries(
        self, connection: Connection, filed: Filed, purpose: str = "notice"
    ) -> list[NewDelivery]:
        deliveries = []
        if (
            filed.case is not None
            and filed.outcome.message.amendment is not Amendment.REACTION
        ):
            deliveries.append(self._to_service(connection, filed, filed.case))
        text = self._notice(filed)
        if text and self._city.acknowledge and not filed.outcome.message.automatic:
            deliveries.append(self._to_citizen(connection, filed, text, purpose))
        return deliveries

    def _to_service(
        self, connection: Connection, filed: Filed, case: Case
    ) -> NewDelivery:
        message = filed.outcome.message
        return NewDelivery(
            message_id=message.id,
            target=f"{SERVICE}:{case.service}",
            purpose="handover",
            recipient=case.service,
            lane=case.id,
            case_id=case.id,
            source_id=message.id,
            due_at=self._due(connection, message),
        )

    def _due(self, connection: Connection, message: Message) -> datetime | None:
        if not _pending(message):
            return None
        return now(connection) + self._city.wait_for_attachments

    def _notice(self, filed: Filed) -> str:
        """Return what the citizen is told, if anything."""
        say = self._city.texts.say
        outcome = filed.outcome
        if outcome.state is MessageState.HELD:
            return "" if outcome.message.amendment else say(texts.HELD)
        if outcome.state is MessageState.REJECTED:
            return say(texts.REJECTED, reason=outcome.reason)
        if filed.case is not None and filed.new:
            service = self._city.services[filed.case.service]
            return say(texts.NEW_CASE, number=filed.case.number, service=service)
        return ""

    def _to_citizen(
        self, connection: Connection, filed: Filed, text: str, purpose: str
    ) -> NewDelivery:
        message = filed.outcome.message
        row = _outbound_row(
            connection,
            message.channel,
            text,
            conversation_id=filed.conversation_id,
            case_id=filed.case.id if filed.case else None,
            references=(message.external_id,),
        )
        messages.store(connection, [row])
        return NewDelivery(
            message_id=row["id"],
            target=f"{CHANNEL}:{message.channel}",
            purpose=purpose,
            recipient=str(message.sender),
            lane=filed.conversation_id,
            case_id=filed.case.id if filed.case else None,
            quote=message.external_id,
        )

    def release(self, connection: Connection, message_id: str, actor: str) -> None:
        """Let a held message go on: a citizen's to the service, an answer back.

        Raises:
            NotFound: no held message has that id.

        """
        row = _resolve_held(connection, message_id, MessageState.PROCESSED, actor)
        message = messages.load(connection, [message_id])[message_id]
        if row.author == Author.SERVICE.value:
            referred = Referred(
                delivery_id="",
                target="",
                case_id=row.case_id,
                conversation_id=row.conversation_id,
            )
            cases.mark_answered(connection, [row.case_id])
            outbox.enqueue(connection, self._forward(connection, message, referred))
            return
        self._release_citizen(connection, message, row.conversation_id)

    def _release_citizen(
        self, connection: Connection, message: Message, conversation_id: str
    ) -> None:
        table = schema.assignment
        stored = connection.execute(
            select(table).where(table.c.message_id == message.id)
        ).one()
        assignment = Assignment(
            service=ServiceId(stored.service),
            reason=stored.reason,
            source=stored.source,
            confidence=stored.confidence,
        )
        outcome = Outcome(
            message=message,
            state=MessageState.PROCESSED,
            reason="",
            verdicts=(),
            assignment=assignment,
        )
        ((case, new),) = self._cases(connection, [(outcome, conversation_id)])
        filed = Filed(
            outcome=outcome, conversation_id=conversation_id, case=case, new=new
        )
        connection.execute(
            update(schema.message)
            .where(schema.message.c.id == message.id)
            .values(case_id=case.id)
        )
        outbox.enqueue(connection, self._deliveries(connection, filed))
        audit.record(connection, *_events(filed))

    def reject(
        self, connection: Connection, message_id: str, reason: str, actor: str
    ) -> None:
        """Refuse a held message; a citizen is told the reason.

        Raises:
            NotFound: no held message has that id.

        """
        state = MessageState.REJECTED
        row = _resolve_held(connection, message_id, state, actor, reason)
        if row.author != Author.CITIZEN.value:
            return
        message = messages.load(connection, [message_id])[message_id]
        outcome = Outcome(
            message=message,
            state=state,
            reason=reason,
            verdicts=(),
            assignment=Assignment(service=ServiceId(""), reason="", source=actor),
        )
        filed = Filed(
            outcome=outcome,
            conversation_id=row.conversation_id,
            case=None,
            new=False,
        )
        outbox.enqueue(connection, self._deliveries(connection, filed, "rejection"))

    def record_answers(
        self, connection: Connection, answers: Sequence[Answer]
    ) -> list[set[str]]:
        """Record services' answers and send them to the citizens they are for.

        Raises:
            StaleClaim: one of the claims no longer holds.

        """
        jobs.finish(connection, [answer.claim for answer in answers])
        queues = [self._record_answer(connection, answer) for answer in answers]
        fetches = _enqueue_fetches(connection, [answer.message for answer in answers])
        return [each | fetches for each in queues]

    def _record_answer(self, connection: Connection, answer: Answer) -> set[str]:
        row = messages.inbound_row(
            answer.message,
            author=Author.SERVICE,
            state=answer.state,
            reason=answer.reason,
            conversation_id=answer.referred.conversation_id,
            case_id=answer.referred.case_id,
        )
        messages.store(connection, [row], [answer.message])
        audit.record(
            connection,
            Event(
                action=f"answer.{answer.state.value}",
                subject=answer.message.id,
                actor=answer.referred.target,
                data={"case": answer.referred.case_id, "reason": answer.reason},
            ),
        )
        if answer.state is not MessageState.PROCESSED:
            return set()
        cases.mark_answered(connection, [str(answer.referred.case_id)])
        deliveries = self._forward(connection, answer.message, answer.referred)
        return outbox.enqueue(connection, deliveries)

    def _forward(
        self, connection: Connection, message: Message, referred: Referred
    ) -> list[NewDelivery]:
        """Make the citizen's copy of an answer, on the citizen's own channel.

        A long one is several messages, each delivered by itself: the first answers the
        citizen's message, the last brings the attachments, if these don't go apart.
        """
        case, thread, quote = _thread_of(connection, str(referred.case_id))
        text = self._city.texts.say(
            texts.ANSWER,
            service=self._city.services.get(case.service, case.service),
            number=case.number,
            text=message.text,
        )
        split = self._city.split.get(thread.channel)
        parts = list(split(text)) if split is not None else [text]
        apart = thread.channel in self._city.files_apart
        files = range(len(message.attachments)) if apart else ()
        purposes = ["answer"] * len(parts) + [outbox.enclosure(n) for n in files]
        rows = [
            _outbound_row(
                connection,
                thread.channel,
                part,
                conversation_id=thread.id,
                case_id=case.id,
                references=(quote,) if quote else (),
            )
            for part in (*parts, *("" for _ in files))
        ]
        messages.store(connection, rows)
        due_at = self._due(connection, message)
        with_files = len(parts) if apart else len(parts) - 1
        return [
            NewDelivery(
                message_id=row["id"],
                target=f"{CHANNEL}:{thread.channel}",
                purpose=purpose,
                recipient=thread.reply_to,
                lane=thread.id,
                case_id=case.id,
                quote=quote if number == 0 else None,
                source_id=message.id if brings else None,
                due_at=due_at if brings else None,
            )
            for number, (row, purpose) in enumerate(zip(rows, purposes, strict=True))
            for brings in [number >= with_files]
        ]


def _resolve_held(
    connection: Connection,
    message_id: str,
    state: MessageState,
    actor: str,
    reason: str = "",
) -> Any:
    """Take a message out of the held ones; return its row."""
    table = schema.message
    row = connection.execute(
        update(table)
        .where(table.c.id == message_id, table.c.state == MessageState.HELD.value)
        .values(state=state.value, reason=reason)
        .returning(table)
    ).one_or_none()
    if row is None:
        text = f"no held message {message_id}"
        raise NotFound(text)
    action = "released" if state is MessageState.PROCESSED else "rejected"
    event = Event(action=f"message.{action}", subject=message_id, actor=actor)
    audit.record(connection, event)
    return row


def _thread_of(connection: Connection, case_id: str) -> tuple[Case, Any, str | None]:
    """Return a case, its conversation, and the citizen's last message in it."""
    row = connection.execute(
        select(schema.cases).where(schema.cases.c.id == case_id)
    ).one()
    thread = connection.execute(
        select(schema.conversation).where(
            schema.conversation.c.id == row.conversation_id
        )
    ).one()
    message = schema.message
    quote = connection.execute(
        select(message.c.external_id)
        .where(message.c.case_id == case_id, message.c.author == Author.CITIZEN.value)
        .order_by(message.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return cases.from_row(row), thread, quote


def _outbound_row(  # noqa: PLR0913 (one value a column)
    connection: Connection,
    channel: str,
    text: str,
    *,
    conversation_id: str,
    case_id: str | None,
    references: tuple[str, ...],
) -> dict[str, Any]:
    at = now(connection)
    body = {
        "sender": "gateway:self",
        "sender_name": "",
        "aliases": (),
        "text": text,
        "location": None,
        "references": references,
        "automatic": True,
        "flags": (),
        "sent_at": at,
    }
    return {
        "id": identity.new_id(),
        "direction": Direction.OUT.value,
        "author": Author.GATEWAY.value,
        "state": MessageState.PROCESSED.value,
        "reason": "",
        "channel": channel,
        "external_id": "",
        "conversation_id": conversation_id,
        "case_id": case_id,
        "body": orjson.dumps(body).decode(),
        "created_at": at,
    }


def _pending(message: Message) -> bool:
    return any(a.state is AttachmentState.PENDING for a in message.attachments)


def _enqueue_fetches(connection: Connection, said: Sequence[Message]) -> set[str]:
    new = [
        NewJob(queue=fetch_queue(each.channel), lane=each.id, subject=each.id)
        for each in said
        if _pending(each)
    ]
    jobs.enqueue(connection, new)
    return {job.queue for job in new}


def _store(connection: Connection, filed: Sequence[Filed]) -> None:
    rows = [
        messages.inbound_row(
            each.outcome.message,
            author=Author.CITIZEN,
            state=each.outcome.state,
            reason=each.outcome.reason,
            conversation_id=each.conversation_id,
            case_id=each.case.id if each.case else None,
        )
        for each in filed
    ]
    messages.store(connection, rows, [each.outcome.message for each in filed])
    verdicts = [row for each in filed for row in _verdict_rows(each.outcome)]
    if verdicts:
        _INSERT_VERDICT.execute(connection, verdicts)
    _INSERT_ASSIGNMENT.execute(connection, [_assigned(each) for each in filed])


def _verdict_rows(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {
            "message_id": outcome.message.id,
            "position": position,
            "action": verdict.action.name.lower(),
            "rule": verdict.rule,
            "reason": verdict.reason,
            "source": verdict.source,
            "evidence": orjson.dumps(verdict.evidence).decode(),
            "score": verdict.score,
        }
        for position, verdict in enumerate(outcome.verdicts)
    ]


def _assigned(filed: Filed) -> dict[str, Any]:
    assignment = filed.outcome.assignment
    if filed.case is not None and not filed.new:
        assignment = replace(
            assignment,
            service=filed.case.service,
            reason=f"joins {filed.case.number}",
            source="gateway",
            confidence=1.0,
        )
    return {
        "message_id": filed.outcome.message.id,
        "service": assignment.service,
        "reason": assignment.reason,
        "source": assignment.source,
        "confidence": assignment.confidence,
    }


def _events(filed: Filed) -> list[Event]:
    outcome = filed.outcome
    strictest = max((v.action for v in outcome.verdicts), default=Action.PASS)
    data = {
        "verdict": strictest.name.lower(),
        "case": filed.case.id if filed.case else None,
        "service": filed.case.service if filed.case else None,
    }
    events = [
        Event(
            action=f"message.{outcome.state.value}",
            subject=outcome.message.id,
            actor="gateway",
            data=data,
        )
    ]
    if filed.case is not None and filed.new:
        events.append(
            Event(
                action="case.opened",
                subject=filed.case.id,
                actor="gateway",
                data={"number": filed.case.number, "service": filed.case.service},
            )
        )
    return events
