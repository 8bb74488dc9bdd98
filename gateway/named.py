"""Cases as staff name them, and whether two are of the same citizen."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, select

from gateway import people
from gateway.errors import NotFound
from gateway.store import schema


def find(connection: Connection, *numbers: str) -> list[Any]:
    """Return the rows of cases by their numbers, kept from others until we are done.

    Raises:
        NotFound: there is no such case.

    """
    table = schema.cases
    rows = connection.execute(
        select(table)
        .where(table.c.number.in_(set(numbers)))
        .order_by(table.c.id)
        .with_for_update()
    )
    known = {row.number: row for row in rows}
    for number in numbers:
        if number not in known:
            text = f"no case {number}"
            raise NotFound(text)
    return [known[number] for number in numbers]


def citizens(connection: Connection, conversation_ids: Collection[str]) -> set[str]:
    """Return whose conversations these are, by what their contacts have become."""
    table = schema.conversation
    rows = connection.execute(
        select(table.c.contact_id).where(table.c.id.in_(set(conversation_ids)))
    )
    return {people.now_known_as(connection, each) for each in set(rows.scalars())}
