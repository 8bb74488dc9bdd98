"""Cases that are closed, and opened again; who told of the same is told, too."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from gateway import deadlines, named, ratings, states, telling, texts
from gateway.city import City
from gateway.model import ServiceId
from gateway.store import schema
from gateway.telling import Word


def close(connection: Connection, number: str, city: City, *, by: str) -> set[str]:
    """Close a case for staff, and tell its citizen; return queues with new work.

    Raises:
        NotFound: there is no such case.
        CaseError: it is closed already.

    """
    (row,) = named.find(connection, number)
    states.require(connection, states.CLOSED, states.Move(case_id=row.id, by=by))
    told = telling.tell(connection, [_closed(row, city)])
    return told | follow(connection, row.id, city)


def follow(connection: Connection, case_id: str, city: City) -> set[str]:
    """Close the duplicates of a case that was closed, and ask how it was.

    Each citizen reads the number of their own case only, and nothing that an office
    said to another.
    """
    table = schema.cases
    linked = connection.execute(
        select(table)
        .where(table.c.duplicate_of == case_id)
        .order_by(table.c.id)
        .with_for_update()
    ).all()
    moves = [
        states.Move(case_id=row.id, by="gateway", data={"with": case_id})
        for row in linked
    ]
    gone = states.change(connection, states.CLOSED, moves)
    closed = [row for row in linked if row.id in gone]
    row = connection.execute(select(table).where(table.c.id == case_id)).one()
    words = [_closed(each, city) for each in closed]
    words += ratings.ask(connection, [row, *closed], city)
    return telling.tell(connection, words)


def _closed(row: Any, city: City) -> Word:
    return Word(
        conversation_id=row.conversation_id,
        case_id=row.id,
        text=city.texts.say(texts.CLOSED, number=row.number),
    )


def reopen(connection: Connection, number: str, city: City, *, by: str) -> set[str]:
    """Open a closed case again for staff, and tell its citizen.

    Raises:
        NotFound: there is no such case.
        CaseError: it is not closed, or goes on in another one.

    """
    (row,) = named.find(connection, number)
    states.require(connection, states.REOPENED, states.Move(case_id=row.id, by=by))
    deadlines.begin(connection, [(row.id, ServiceId(row.service))], city.deadlines)
    word = Word(
        conversation_id=row.conversation_id,
        case_id=row.id,
        text=city.texts.say(texts.OPEN_AGAIN, number=row.number),
    )
    return telling.tell(connection, [word])
