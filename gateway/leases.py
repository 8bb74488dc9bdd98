"""What only one node may do at a time: single ownership of a name, for a while."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, delete, insert, or_, select, update

from gateway.store.schema import lease as table
from gateway.store.units import now


def take(connection: Connection, name: str, owner: str, lease: timedelta) -> bool:
    """Take or prolong the single ownership of ``name``; tell whether we have it."""
    at = now(connection)
    values = {"owner": owner, "until": at + lease}
    taken = connection.execute(
        update(table)
        .where(table.c.name == name, or_(table.c.owner == owner, table.c.until < at))
        .values(**values)
    )
    if taken.rowcount == 1:
        return True
    known = connection.execute(select(table.c.name).where(table.c.name == name)).first()
    if known is not None:
        return False
    connection.execute(insert(table).values(name=name, **values))
    return True


def give_up(connection: Connection, name: str, owner: str) -> None:
    """Give up the single ownership of ``name``, if ``owner`` has it."""
    connection.execute(
        delete(table).where(table.c.name == name, table.c.owner == owner)
    )
