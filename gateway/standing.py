"""How a citizen's cases stand, told to nobody else.

What is not theirs is answered as what does not exist, so that nobody learns from the
answer which numbers there are.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from gateway import people, texts
from gateway.city import City
from gateway.model import CaseStatus
from gateway.store import schema

MOST: Final = 5
"""How many open cases are told of at once."""

_WORDS: Final = {
    CaseStatus.NEW: texts.STATUS_NEW,
    CaseStatus.WAITING: texts.STATUS_WAITING,
    CaseStatus.ASSIGNED: texts.STATUS_ASSIGNED,
    CaseStatus.ANSWERED: texts.STATUS_ANSWERED,
    CaseStatus.CLOSED: texts.STATUS_CLOSED,
    CaseStatus.REOPENED: texts.STATUS_REOPENED,
}


def find(connection: Connection, contact_id: str, number: str, city: City) -> Any:
    """Return the row of a contact's own case, or of the one in which it went on.

    None if there is none, whether or not somebody else has it.
    """
    of_theirs = _of(people.also_known_as(connection, contact_id), city)
    row = connection.execute(
        of_theirs.where(schema.cases.c.number == number)
    ).one_or_none()
    if row is None or row.merged_into is None:
        return row
    return connection.execute(
        of_theirs.where(schema.cases.c.id == row.merged_into)
    ).one_or_none()


def find_open(connection: Connection, contact_id: str, city: City) -> list[Any]:
    """Return the rows of a contact's latest open cases, on whatever channel."""
    table = schema.cases
    statement = (
        _of(people.also_known_as(connection, contact_id), city)
        .where(table.c.status != CaseStatus.CLOSED.value)
        .order_by(table.c.last_message_at.desc())
        .limit(MOST)
    )
    return list(connection.execute(statement))


def _of(contact_ids: Collection[str], city: City) -> Select[Any]:
    table, conversation = schema.cases, schema.conversation
    return (
        select(table)
        .join(conversation, conversation.c.id == table.c.conversation_id)
        .where(
            conversation.c.contact_id.in_(contact_ids),
            # The index on conversations begins with their channel.
            conversation.c.channel.in_(sorted(city.manners)),
        )
    )


def tell(row: Any, city: City) -> str:
    """Say how a case stands: its state, its service and its dates."""
    say = city.texts.say
    status = CaseStatus(row.status)
    told = say(
        texts.STATUS,
        number=row.number,
        status=say(_WORDS[status]),
        service=city.services.get(row.service, row.service),
        opened=_local(row.opened_at, city),
        last=_local(row.last_message_at, city),
    )
    if row.deadline_at is not None:
        due = say(texts.STATUS_DUE, due=_local(row.deadline_at, city))
        told = f"{told} {due}"
    if row.closed_at is None:
        return told
    return f"{told} {say(texts.STATUS_ENDED, closed=_local(row.closed_at, city))}"


def _local(at: datetime, city: City) -> datetime:
    return at.astimezone(city.numbering.timezone)
