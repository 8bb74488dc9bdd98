"""What the pipeline decided, written in one unit of work: the record of the stream.

Every function takes many outcomes, so that a busy moment costs few statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import Connection, select, update

from gateway import (
    amendments,
    answers,
    audit,
    blocks,
    cases,
    deadlines,
    errands,
    jobs,
    messages,
    notices,
    outbox,
    questions,
    selfservice,
    texts,
    threads,
)
from gateway.answers import Answer
from gateway.cases import Joined, Matter
from gateway.city import City
from gateway.contacts import Sender, find_contacts, find_conversations
from gateway.courtesies import is_thanks
from gateway.errors import NotFound
from gateway.jobs import Claim
from gateway.messages import Said
from gateway.model import (
    Action,
    Amendment,
    Assignment,
    Author,
    Case,
    CaseStatus,
    Event,
    Menu,
    Message,
    MessageState,
    ServiceId,
)
from gateway.opening import reopening
from gateway.outbox import NewDelivery
from gateway.outcome import Filed, Outcome
from gateway.selfservice import Heard
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now
from gateway.targets import CHANNEL, of_service, queue_of
from gateway.threads import Place

_Key = TypeVar("_Key")

_INSERT_VERDICT = Insertion(schema.verdict)
_INSERT_ASSIGNMENT = Insertion(schema.assignment)


class Recorder:
    """Writes outcomes; one for each gateway."""

    def __init__(self, city: City) -> None:
        """Write as ``city`` wants it."""
        self._city = city
        self.mirrors = city.mirrors
        self.ladder = city.ladder

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
        told = self._told(connection, filed)
        deliveries = [
            delivery
            for each, text in zip(filed, told, strict=True)
            for delivery in self._deliveries(connection, each, text)
        ]
        queues = outbox.enqueue(connection, deliveries)
        queues |= errands.enqueue(connection, [f.outcome.message for f in filed])
        queues |= {_queue(each.case) for each in filed if each.settled and each.case}
        audit.record(connection, *(e for each in filed for e in _events(each)))
        return [queues] * len(outcomes)

    def _file(self, connection: Connection, outcomes: Sequence[Outcome]) -> list[Filed]:
        said = [outcome.message for outcome in outcomes]
        contacts = find_contacts(
            connection,
            [Sender(message=o.message, identified=o.contact) for o in outcomes],
        )
        conversations = find_conversations(connection, said, contacts)
        outcomes = blocks.refuse(connection, outcomes, contacts, self.mirrors)
        pairs = list(zip(outcomes, conversations, strict=True))
        filed = amendments.file(connection, pairs)
        filed |= selfservice.serve(
            connection,
            [
                Heard(outcome=o, conversation_id=conversation, contact_id=contact)
                for (o, conversation), contact in zip(pairs, contacts, strict=True)
                if o.state is MessageState.PROCESSED and o.message.id not in filed
            ],
            self._city,
        )
        rest = [p for p in pairs if p[0].message.id not in filed]
        accepted = [p for p in rest if p[0].state is MessageState.PROCESSED]
        found = iter(self._cases(connection, accepted))
        for o, c in rest:
            known = o.state is MessageState.PROCESSED
            each = (
                next(found)
                if known
                else Filed(outcome=o, conversation_id=c, case=None, new=False)
            )
            filed[o.message.id] = self._settle(connection, each)
        return [filed[outcome.message.id] for outcome in outcomes]

    def _cases(
        self, connection: Connection, accepted: Sequence[tuple[Outcome, str]]
    ) -> list[Filed]:
        if not accepted:
            return []
        places = threads.find(connection, {n for o, _ in accepted for n in _named(o)})
        numbered = threads.find_numbered(
            connection, {n for o, _ in accepted for n in self._numbers(o)}
        )
        matters = [
            Matter(
                conversation_id=conversation_id,
                service=outcome.assignment.service,
                at=outcome.message.received_at,
                case_id=_case_of(_named(outcome), conversation_id, places)
                or _case_of(self._numbers(outcome), conversation_id, numbered),
                waits=self._asks(outcome),
                anew=selfservice.begins_anew(outcome),
                confidence=_confidence(outcome.assignment),
                idle=outcome.message.automatic or is_thanks(outcome.message),
            )
            for outcome, conversation_id in accepted
        ]
        city = self._city
        found = cases.assign_cases(connection, matters, city.numbering, city.joining)
        begun = [j.case for j in found if j.new or j.reopened or j.unanswered]
        deadlines.begin(
            connection,
            [(case.id, case.service) for case in begun],
            city.deadlines,
            waits=_waits(accepted, found),
        )
        return [
            Filed(
                outcome=outcome,
                conversation_id=conversation_id,
                case=joined.case,
                new=joined.new,
                reopened=joined.reopened,
            )
            for (outcome, conversation_id), joined in zip(accepted, found, strict=True)
        ]

    def _numbers(self, outcome: Outcome) -> list[str]:
        """Return the cases that a message names, unless its sender may be forged.

        In its subject, or where there is none, in the first line.
        """
        message = outcome.message
        if message.authentic is False:
            return []
        return self.numbers_in(message.subject or message.text.partition("\n")[0])

    def numbers_in(self, subject: str) -> list[str]:
        """Return the case numbers in a subject."""
        return self._city.numbering.find(subject) if subject else []

    def _asks(self, outcome: Outcome) -> bool:
        """Tell whether the citizen is asked what it is about, if the case is new."""
        message, city = outcome.message, self._city
        return (
            outcome.assignment.question is not None
            and city.acknowledge
            and city.manners_of(message.channel).menus
            and not message.automatic
        )

    def _settle(self, connection: Connection, filed: Filed) -> Filed:
        """Close the question of a case that waits, if this says whose it is."""
        case, assignment = filed.case, filed.outcome.assignment
        if case is None or filed.new or case.status is not CaseStatus.WAITING:
            return filed
        if assignment.question is not None or assignment.source == DEFAULT:
            return filed
        patience = self._city.wait_for_attachments
        by = filed.outcome.message.id
        case = questions.settle(connection, case, assignment.service, patience, by)
        if case is None:
            return filed
        deadlines.move(connection, case.id, case.service, self._city.deadlines)
        return replace(filed, case=case, settled=True)

    def _told(self, connection: Connection, filed: Sequence[Filed]) -> list[str]:
        """Return what each citizen is told; "" if nothing, or if they were today."""
        said = ["" if each.reply else self._notice(connection, each) for each in filed]
        counted = {
            each.outcome.message.id: each.conversation_id
            for each, text in zip(filed, said, strict=True)
            if text and self._city.manners_of(each.outcome.message.channel).daily_notice
        }
        silent = notices.withheld(connection, counted)
        return [
            "" if each.outcome.message.id in silent else text
            for each, text in zip(filed, said, strict=True)
        ]

    def _deliveries(
        self,
        connection: Connection,
        filed: Filed,
        text: str,
        purpose: str = notices.NOTICE,
    ) -> list[NewDelivery]:
        deliveries = []
        if filed.reply is not None:
            text, purpose = filed.reply.text, filed.reply.purpose
        if filed.case is not None and _concerns_service(filed):
            deliveries.append(self._to_service(connection, filed, filed.case))
        if text:
            deliveries.append(self._to_citizen(connection, filed, text, purpose))
        return deliveries

    def _to_service(
        self, connection: Connection, filed: Filed, case: Case
    ) -> NewDelivery:
        message = filed.outcome.message
        return NewDelivery(
            message_id=message.id,
            target=of_service(case.service),
            purpose=outbox.HANDOVER if filed.new else outbox.ADDITION,
            recipient=case.service,
            lane=case.id,
            case_id=case.id,
            source_id=message.id,
            due_at=self._due(connection, filed, case),
        )

    def _due(self, connection: Connection, filed: Filed, case: Case) -> datetime | None:
        """Return until when a hand-over waits: for the citizen's choice, for files."""
        question = filed.outcome.assignment.question
        if case.status is CaseStatus.WAITING and question is not None:
            return now(connection) + question.wait
        patience = self._city.wait_for_attachments
        due_at = errands.due(connection, filed.outcome.message, patience)
        if case.status is not CaseStatus.WAITING:
            return due_at
        # More of what waits for the citizen's choice waits with it.
        return questions.asked_until(connection, case) or due_at

    def _notice(self, connection: Connection, filed: Filed) -> str:
        """Return what the citizen is told, if anything."""
        say = self._city.texts.say
        outcome = filed.outcome
        if outcome.blocked or outcome.message.automatic or not self._city.acknowledge:
            return ""
        if outcome.state is MessageState.HELD:
            if outcome.message.amendment:
                return ""
            return self._with_hours(connection, say(texts.HELD), None)
        if outcome.state is MessageState.REJECTED:
            return say(texts.REJECTED, reason=outcome.reason)
        return self._case_notice(connection, filed)

    def _case_notice(self, connection: Connection, filed: Filed) -> str:
        """Return what the citizen is told of a new case, or of whose it is now."""
        say = self._city.texts.say
        case, question = filed.case, filed.outcome.assignment.question
        if case is None or not (filed.new or filed.settled or filed.reopened):
            return ""
        if case.status is CaseStatus.WAITING and question is not None:
            closed = self._with_hours(connection, "", None)
            asked = "\n\n".join(filter(None, [closed, question.text]))
            return say(texts.ASKED, number=case.number, question=asked)
        text = texts.NEW_CASE if filed.new else texts.SETTLED
        if filed.reopened:
            text = texts.REOPENED
        service = self._city.services.get(case.service, case.service)
        said = say(text, number=case.number, service=service)
        return self._with_hours(connection, said, case.service)

    def _with_hours(
        self, connection: Connection, said: str, service: ServiceId | None
    ) -> str:
        """Say also when the office opens again, if it is closed."""
        city = self._city
        closed = reopening(city.texts, city.hours_of(service), now(connection))
        return f"{said} {closed}".strip()

    def _to_citizen(
        self, connection: Connection, filed: Filed, text: str, purpose: str
    ) -> NewDelivery:
        message = filed.outcome.message
        case_id: str | None = filed.case.id if filed.case else None
        menu = _menu(filed)
        if filed.reply is not None:
            case_id, menu = filed.reply.case_id, filed.reply.menu
        said = Said(
            channel=message.channel,
            text=text,
            menu=menu,
            conversation_id=filed.conversation_id,
            case_id=case_id,
            references=(message.external_id,),
        )
        row = messages.outbound_row(said, now(connection))
        messages.store(connection, [row])
        return NewDelivery(
            message_id=row["id"],
            target=f"{CHANNEL}:{message.channel}",
            purpose=purpose,
            recipient=str(message.sender),
            lane=filed.conversation_id,
            case_id=case_id,
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
            answers.carry_out(connection, message, row.case_id, self._city, by=actor)
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
        filed = self._served(connection, outcome, conversation_id)
        if filed is None:
            (filed,) = self._cases(connection, [(outcome, conversation_id)])
        case = filed.case
        connection.execute(
            update(schema.message)
            .where(schema.message.c.id == message.id)
            .values(case_id=case.id if case else None)
        )
        outbox.enqueue(
            connection,
            self._deliveries(connection, filed, self._notice(connection, filed)),
        )
        audit.record(connection, *_events(filed))

    def _served(
        self, connection: Connection, outcome: Outcome, conversation_id: str
    ) -> Filed | None:
        """Answer a released message, if it was for the gateway itself."""
        table = schema.conversation
        contact_id = connection.execute(
            select(table.c.contact_id).where(table.c.id == conversation_id)
        ).scalar_one()
        heard = Heard(
            outcome=outcome, conversation_id=conversation_id, contact_id=contact_id
        )
        served = selfservice.serve(connection, [heard], self._city)
        return served.get(outcome.message.id)

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
        text = self._notice(connection, filed)
        outbox.enqueue(
            connection, self._deliveries(connection, filed, text, "rejection")
        )

    def record_answers(
        self, connection: Connection, said: Sequence[Answer]
    ) -> list[set[str]]:
        """Record services' answers and send them to the citizens they are for.

        Raises:
            StaleClaim: one of the claims no longer holds.

        """
        return answers.record(connection, said, self._city)


DEFAULT: Final = "default"
"""Source of the assignment of what nobody routed."""


def _confidence(assignment: Assignment) -> float:
    """Return how sure a rule is; a question and the default are no rule's word."""
    if assignment.question is not None or assignment.source == DEFAULT:
        return 0.0
    return assignment.confidence


def _waits(
    accepted: Sequence[tuple[Outcome, str]], found: Sequence[Joined]
) -> dict[str, timedelta]:
    """Return how long each new case waits for what its citizen chooses."""
    return {
        joined.case.id: question.wait
        for (outcome, _), joined in zip(accepted, found, strict=True)
        if joined.new and joined.case.status is CaseStatus.WAITING
        if (question := outcome.assignment.question) is not None
    }


def _named(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Return what a message says that it answers, by channel and foreign id."""
    message = outcome.message
    for reference in message.references:
        yield message.channel, reference


def _case_of(
    keys: Iterable[_Key], conversation_id: str, places: Mapping[_Key, Place]
) -> str | None:
    """Return the first case that is named, if it is in the message's conversation."""
    for key in keys:
        place = places.get(key)
        if place is not None and place.conversation_id == conversation_id:
            return place.case_id
    return None


def _concerns_service(filed: Filed) -> bool:
    """Tell whether the service gets to read it: no reactions, no choices for us."""
    message = filed.outcome.message
    chosen = filed.settled and filed.outcome.assignment.chosen
    if filed.reply is not None:
        return False
    return not chosen and message.amendment is not Amendment.REACTION


def _queue(case: Case) -> str:
    return queue_of(of_service(case.service))


def _menu(filed: Filed) -> Menu | None:
    """Return what the citizen is to choose from, if we ask."""
    question, case = filed.outcome.assignment.question, filed.case
    if question is None or case is None or case.status is not CaseStatus.WAITING:
        return None
    return question.menu if filed.new else None


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
    if filed.reply is not None:
        assignment = replace(
            assignment,
            service=ServiceId(""),
            reason="was for the gateway itself",
            source="gateway",
            confidence=1.0,
        )
    if filed.case is not None and not (filed.new or filed.settled):
        assignment = replace(
            assignment,
            service=filed.case.service,
            reason=f"joins {filed.case.number}",
            source="gateway",
            confidence=1.0,
            grounds=None,
        )
    grounds = assignment.grounds
    return {
        "message_id": filed.outcome.message.id,
        "service": assignment.service,
        "reason": assignment.reason,
        "source": assignment.source,
        "confidence": assignment.confidence,
        "grounds": orjson.dumps(grounds).decode() if grounds else None,
    }


def _events(filed: Filed) -> list[Event]:
    outcome = filed.outcome
    strictest = max((v.action for v in outcome.verdicts), default=Action.PASS)
    data = {
        "verdict": strictest.name.lower(),
        "case": filed.case.id if filed.case else None,
        "service": filed.case.service if filed.case else None,
        **({"blocked": True} if outcome.blocked else {}),
    }
    events = [
        Event(
            action=f"message.{outcome.state.value}",
            subject=outcome.message.id,
            actor="gateway",
            data=data,
        )
    ]
    if filed.reply is not None:
        events += filed.reply.events
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
