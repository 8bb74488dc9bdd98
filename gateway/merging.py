"""Two cases of one citizen that are one matter, and one that is two.

Never of two citizens: what an office answers to one would be read by the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from gateway import (
    audit,
    cases,
    deadlines,
    duplicates,
    handing,
    identity,
    messages,
    named,
    outbox,
    states,
    telling,
    texts,
)
from gateway.cases import Matter
from gateway.city import City
from gateway.errors import CaseError
from gateway.handing import Turn
from gateway.model import Author, CaseStatus, Event, MessageState, ServiceId
from gateway.store import schema
from gateway.store.units import now
from gateway.targets import SERVICE
from gateway.telling import Word


def merge(
    connection: Connection, number: str, into: str, city: City, *, by: str
) -> set[str]:
    """Let the case ``number`` go on in the case ``into``; return queues with work.

    Its messages, deliveries and answers follow, also those by its old number. What its
    service has not got yet goes to the service of the other; so does what it has got,
    if that is another one.

    Raises:
        NotFound: there is no such case.
        CaseError: they are not two cases of one citizen, or can't be merged now.

    """
    old, new = named.find(connection, number, into)
    _check_merge(connection, old, new)
    move = states.Move(case_id=old.id, by=by, data={"into": new.id})
    states.require(connection, states.MERGED, move)
    queues = handing.turn(connection, _turn(old, new, city))
    _follow(connection, old, new, by)
    _stay_due(connection, old, new, city, by)
    word = Word(
        conversation_id=old.conversation_id,
        case_id=new.id,
        text=city.texts.say(texts.MERGED, old=number, number=into),
    )
    return queues | telling.tell(connection, [word])


def _check_merge(connection: Connection, old: Any, new: Any) -> None:
    people = named.citizens(connection, [old.conversation_id, new.conversation_id])
    problem = ""
    if old.id == new.id:
        problem = f"{old.number} can't be merged into itself"
    elif len(people) > 1:
        problem = (
            f"{old.number} and {new.number} are of two citizens, and one would read the"
            " other's answers: link them instead"
        )
    elif new.status == CaseStatus.CLOSED.value:
        problem = f"{new.number} is closed: reopen it first"
    elif new.status == CaseStatus.WAITING.value:
        problem = f"{new.number} waits for its citizen's choice: move it first"
    if problem:
        raise CaseError(problem)


def _turn(old: Any, new: Any, city: City) -> Turn:
    return Turn(
        case_id=old.id,
        into=new.id,
        before=ServiceId(old.service),
        after=ServiceId(new.service),
        # Of its own: what was split off has been there under the id of its case.
        mark=identity.new_id(),
        patience=city.wait_for_attachments,
    )


def _stay_due(connection: Connection, old: Any, new: Any, city: City, by: str) -> None:
    """Let what nobody has answered in the one be due in the other."""
    if old.status in {CaseStatus.ANSWERED.value, CaseStatus.CLOSED.value}:
        return
    move = states.Move(case_id=new.id, by=by, data={"from": old.id})
    came = states.change(connection, states.UNANSWERED, [move])
    due = [each.deadline_at for each in (old, new) if each.deadline_at is not None]
    if due and min(due) != new.deadline_at:
        deadlines.keep(connection, new.id, min(due))
    elif came and not due:
        again = (new.id, ServiceId(new.service))
        deadlines.begin(connection, [again], city.deadlines)


def _follow(connection: Connection, old: Any, new: Any, by: str) -> None:
    """Let all that hangs on a case hang on the other, also what was merged into it."""
    for table in (schema.message, schema.delivery):
        connection.execute(
            update(table).where(table.c.case_id == old.id).values(case_id=new.id)
        )
    table = schema.cases
    gone = connection.execute(
        update(table)
        .where((table.c.merged_into == old.id) | (table.c.id == old.id))
        .values(merged_into=new.id)
        .returning(table.c.id)
    )
    audit.record(
        connection,
        *(
            Event(action="case.absorbed", subject=new.id, actor=by, data={"from": each})
            for each in sorted(gone.scalars())
        ),
    )
    connection.execute(
        update(table)
        .where(table.c.id == new.id)
        .values(last_message_at=max(old.last_message_at, new.last_message_at))
    )
    duplicates.follow(connection, old, new, by=by)


def split(
    connection: Connection,
    number: str,
    message_ids: Sequence[str],
    city: City,
    *,
    by: str,
) -> str:
    """Make a case of its own of some messages of a case; return its number.

    Its service gets them as a new case, the citizen is told the number.

    Raises:
        NotFound: there is no such case.
        CaseError: they are not some of what its citizen said in it.

    """
    (row,) = named.find(connection, number)
    if row.status == CaseStatus.CLOSED.value:
        text = f"{number} is closed: reopen it first"
        raise CaseError(text)
    said = _messages(connection, row, message_ids)
    at = now(connection)
    matter = Matter(
        conversation_id=said[-1].conversation_id,
        service=ServiceId(row.service),
        at=at,
    )
    case = cases.open_one(connection, matter, city.numbering)
    deadlines.begin(connection, [(case.id, case.service)], city.deadlines)
    ids = [each.id for each in said]
    turned = Turn(
        case_id=row.id,
        into=case.id,
        before=case.service,
        after=case.service,
        mark=identity.new_id(),
        patience=city.wait_for_attachments,
    )
    handing.turn(connection, turned, only=ids)
    _take_along(connection, row, case.id, ids)
    held = _take_answers(connection, row, case.id)
    audit.record(
        connection,
        Event(
            action="case.opened",
            subject=case.id,
            actor=by,
            data={"number": case.number, "service": case.service, "from": row.id},
        ),
        Event(
            action="case.split",
            subject=row.id,
            actor=by,
            data={"into": case.id, "messages": ids, "answers": held},
        ),
    )
    word = Word(
        conversation_id=matter.conversation_id,
        case_id=case.id,
        text=city.texts.say(texts.SPLIT, old=number, number=case.number),
    )
    telling.tell(connection, [word])
    return case.number


def _messages(
    connection: Connection, row: Any, message_ids: Sequence[str]
) -> list[Any]:
    """Return the rows of what is to be split off, oldest first."""
    every = handing.of_citizen(connection, row.id)
    strange = sorted(set(message_ids) - set(every))
    problem = ""
    if strange:
        problem = f"{strange[0]} is nothing that the citizen said in {row.number}"
    elif not message_ids:
        problem = "name the messages that are another matter"
    elif set(every) <= set(message_ids):
        problem = f"that would leave nothing of {row.number}: move it instead"
    if problem:
        raise CaseError(problem)
    table = schema.message
    found = connection.execute(
        select(table).where(table.c.id.in_(message_ids)).order_by(table.c.id)
    ).all()
    people = named.citizens(
        connection, [row.conversation_id, *(each.conversation_id for each in found)]
    )
    if len(people) > 1:
        text = f"the messages of {row.number} are not of one citizen"
        raise CaseError(text)
    return list(found)


def _take_along(
    connection: Connection, row: Any, case_id: str, message_ids: Sequence[str]
) -> None:
    """Let messages, and what was handed over of them, belong to the new case."""
    message, delivery = schema.message, schema.delivery
    connection.execute(
        update(message).where(message.c.id.in_(message_ids)).values(case_id=case_id)
    )
    connection.execute(
        update(delivery)
        .where(
            delivery.c.case_id == row.id,
            delivery.c.message_id.in_(message_ids),
            delivery.c.target.startswith(f"{SERVICE}:"),
        )
        .values(case_id=case_id)
    )


def _take_answers(connection: Connection, row: Any, case_id: str) -> list[str]:
    """Let held answers go with what they answer, if it is in the new case by now."""
    table = schema.message
    held = connection.execute(
        select(table).where(
            table.c.case_id == row.id,
            table.c.author == Author.SERVICE.value,
            table.c.state == MessageState.HELD.value,
        )
    ).all()
    found = [
        each.id
        for each in held
        for said in [messages.from_row(each)]
        if (referred := outbox.find_referred(connection, said.references))
        if referred.case_id == case_id
    ]
    connection.execute(
        update(table).where(table.c.id.in_(found)).values(case_id=case_id)
    )
    return found
