"""Services' answers: recorded, and passed on to the citizen they are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from gateway import (
    audit,
    blocks,
    cases,
    closing,
    deadlines,
    errands,
    instructions,
    jobs,
    messages,
    outbox,
    parts,
    reassigning,
    referring,
    states,
    texts,
)
from gateway.city import City
from gateway.instructions import Instruction
from gateway.jobs import Claim
from gateway.messages import Said
from gateway.model import (
    Author,
    Case,
    CaseStatus,
    Event,
    Message,
    MessageState,
    Order,
    ServiceId,
)
from gateway.outbox import NewDelivery, Referred
from gateway.parts import Part
from gateway.referring import Standing
from gateway.store import schema
from gateway.store.units import now
from gateway.targets import CHANNEL, SERVICE, of_service, service_of


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


def record(
    connection: Connection, answers: Sequence[Answer], city: City
) -> list[set[str]]:
    """Record answers and send them to the citizens they are for.

    Raises:
        StaleClaim: one of the claims no longer holds.

    """
    jobs.finish(connection, [answer.claim for answer in answers])
    answers = _refuse(connection, answers)
    by_now = referring.by_now(connection, [each.referred for each in answers])
    answers = [
        _checked(replace(each, referred=standing.referred), standing, city)
        for each, standing in zip(answers, by_now, strict=True)
    ]
    queues = [_record(connection, answer, city) for answer in answers]
    fetches = errands.enqueue(connection, [answer.message for answer in answers])
    return [each | fetches for each in queues]


def _refuse(connection: Connection, answers: Sequence[Answer]) -> list[Answer]:
    """Refuse what blocked people say where only a service may answer."""
    held = {str(a.message.sender) for a in answers if a.state is MessageState.HELD}
    blocked = blocks.since_at(connection, held) if held else {}
    return [
        replace(
            answer,
            message=blocks.without_files(answer.message),
            state=MessageState.REJECTED,
            reason=blocks.reason_of(blocked[uri]),
        )
        if answer.state is MessageState.HELD and uri in blocked
        else answer
        for answer in answers
        for uri in [str(answer.message.sender)]
    ]


def _checked(answer: Answer, standing: Standing, city: City) -> Answer:
    """Hold what only staff can decide on."""
    case = standing.case
    if answer.state is not MessageState.PROCESSED or case is None:
        return answer
    reason = ""
    said = instructions.of(answer.message)
    has_it = answer.referred.target == of_service(case.service) or standing.asked
    if not has_it:
        reason = "the case has gone to another office since"
    elif said is not None and said.order is Order.HAND_ON:
        office = _office(said, city)
        if office is None:
            reason = "the office to forward it to is none of the configured services"
        elif office == case.service:
            reason = "the case is with that office already"
        elif case.status is CaseStatus.CLOSED:
            reason = "the case is closed: reopen it before it is forwarded"
    if not reason:
        return answer
    return replace(answer, state=MessageState.HELD, reason=reason)


def _office(said: Instruction, city: City) -> ServiceId | None:
    return instructions.find_office(said.office, city.services)


def _record(connection: Connection, answer: Answer, city: City) -> set[str]:
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
    return carry_out(
        connection,
        answer.message,
        str(answer.referred.case_id),
        city,
        by=answer.referred.target,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matter:
    """A case, its conversation, and the city that both are in; which office speaks."""

    case: Case
    thread: Any
    city: City
    office: ServiceId


def carry_out(
    connection: Connection, message: Message, case_id: str, city: City, *, by: str
) -> set[str]:
    """Do what a service says: answer the citizen, close the case, or hand it on."""
    matter = _matter(connection, case_id, city, by)
    said = instructions.of(message)
    if said is None:
        return _pass_on(connection, message, matter, by=by)
    if said.order is Order.CLOSE:
        move = states.Move(case_id=matter.case.id, by=by)
        closes = states.change(connection, states.CLOSED, [move])
        answer = replace(message, text=said.rest)
        text = _say(matter, texts.CLOSED) if closes else ""
        silent = not (text or answer.text or answer.attachments)
        queues = set() if silent else _tell(connection, answer, matter, then=text)
        if closes:
            queues |= closing.follow(connection, matter.case.id, city)
        return queues
    return _hand_on(connection, message, said, matter, by=by)


def _pass_on(
    connection: Connection, message: Message, matter: _Matter, *, by: str
) -> set[str]:
    """Answer the citizen; a closed case stays closed."""
    move = states.Move(case_id=matter.case.id, by=by, data={"message": message.id})
    states.change(connection, states.ANSWERED, [move])
    return _tell(connection, message, matter)


def _hand_on(
    connection: Connection,
    message: Message,
    said: Instruction,
    matter: _Matter,
    *,
    by: str,
) -> set[str]:
    """Give the case to another office; what else was said is for its eyes."""
    office = _office(said, matter.city)
    if office is None or office == matter.case.service:
        # Staff have read it and let it go: so it is no instruction.
        return _pass_on(connection, message, matter, by=by)
    queues = reassigning.reassign(
        connection,
        matter.case,
        office,
        by=by,
        order=message,
        note=bool(said.rest or message.attachments),
        patience=matter.city.wait_for_attachments,
    )
    deadlines.move(connection, matter.case.id, office, matter.city.deadlines)
    service = matter.city.services[office]
    silent = replace(message, text="", attachments=(), location=None)
    text = _say(matter, texts.HANDED_ON, service=service)
    return queues | _tell(connection, silent, matter, then=text)


def _say(matter: _Matter, msgid: str, **values: object) -> str:
    return matter.city.texts.say(msgid, number=matter.case.number, **values)


def _tell(
    connection: Connection, message: Message, matter: _Matter, *, then: str = ""
) -> set[str]:
    """Send the citizen what a service says, on the citizen's own channel.

    It may be several messages, each delivered by itself: the first answers the
    citizen's message. What the gateway says ``then`` comes last.
    """
    case, thread = matter.case, matter.thread
    quote = _last_said(connection, case, thread.id)
    said = list(_parts(message, matter, then))
    rows = [
        messages.outbound_row(
            Said(
                channel=thread.channel,
                text=part.text,
                location=part.location,
                conversation_id=thread.id,
                case_id=case.id,
                references=(quote,) if quote else (),
            ),
            now(connection),
        )
        for part in said
    ]
    messages.store(connection, rows)
    due_at = errands.due(connection, message, matter.city.wait_for_attachments)
    deliveries = [
        NewDelivery(
            message_id=row["id"],
            target=f"{CHANNEL}:{thread.channel}",
            purpose=part.purpose,
            recipient=thread.reply_to,
            lane=thread.id,
            case_id=case.id,
            quote=quote if number == 0 else None,
            source_id=message.id if part.brings else None,
            due_at=due_at if part.brings else None,
        )
        for number, (row, part) in enumerate(zip(rows, said, strict=True))
    ]
    return outbox.enqueue(connection, deliveries)


def _parts(message: Message, matter: _Matter, then: str) -> Iterator[Part]:
    """Cut an answer into what the channel takes as one message each."""
    city = matter.city
    manners = city.manners_of(matter.thread.channel)
    place = message.location
    said = parts.with_place(message.text, place, manners, city.texts)
    service = city.services.get(matter.office, matter.office)
    text = _say(matter, texts.ANSWER, service=service, text=said)
    if then:
        nothing = not (said or message.attachments)
        text = then if nothing else f"{text}\n\n{then}"
    return parts.cut(text, place, range(len(message.attachments)), manners)


def _matter(connection: Connection, case_id: str, city: City, by: str) -> _Matter:
    row = connection.execute(
        select(schema.cases).where(schema.cases.c.id == case_id)
    ).one()
    thread = connection.execute(
        select(schema.conversation).where(
            schema.conversation.c.id == row.conversation_id
        )
    ).one()
    # Whatever staff let go is said for the office that has the case.
    speaks = by.startswith(f"{SERVICE}:")
    office = service_of(by) if speaks else ServiceId(row.service)
    return _Matter(case=cases.from_row(row), thread=thread, city=city, office=office)


def _last_said(connection: Connection, case: Case, conversation_id: str) -> str | None:
    """Return the foreign id of the citizen's last message in a case.

    Only where the answer goes: elsewhere nobody knows the id.
    """
    message = schema.message
    return connection.execute(
        select(message.c.external_id)
        .where(
            message.c.case_id == case.id,
            message.c.conversation_id == conversation_id,
            message.c.author == Author.CITIZEN.value,
        )
        .order_by(message.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
