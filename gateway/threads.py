"""Where an earlier message stands, by the foreign id that a later one names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from gateway.store import schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The conversation of a message, and its case, if it has one."""

    conversation_id: str | None
    case_id: str | None


def find(
    connection: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Place]:
    """Find messages by channel and foreign id: what came in, and what we delivered."""
    if not names:
        return {}
    channels = {channel for channel, _ in names}
    ids = {external_id for _, external_id in names}
    inbox, message, delivery = schema.inbox, schema.message, schema.delivery
    receipt = schema.receipt
    place = (message.c.channel, message.c.conversation_id, message.c.case_id)
    theirs = (
        select(inbox.c.external_id, *place)
        .join(message, message.c.id == inbox.c.id)
        .where(inbox.c.channel.in_(channels), inbox.c.external_id.in_(ids))
    )
    ours = (
        select(delivery.c.external_id, *place)
        .join(message, message.c.id == delivery.c.message_id)
        .where(delivery.c.external_id.in_(ids))
    )
    renamed = (
        select(receipt.c.reference.label("external_id"), *place)
        .join(delivery, delivery.c.id == receipt.c.delivery_id)
        .join(message, message.c.id == delivery.c.message_id)
        .where(receipt.c.reference.in_(ids))
    )
    return {
        (row.channel, row.external_id): Place(
            conversation_id=row.conversation_id, case_id=row.case_id
        )
        for statement in (renamed, ours, theirs)
        for row in connection.execute(statement)
    }


def find_numbered(connection: Connection, numbers: Collection[str]) -> dict[str, Place]:
    """Find cases by their numbers."""
    if not numbers:
        return {}
    table = schema.cases
    rows = connection.execute(select(table).where(table.c.number.in_(numbers)))
    return {
        row.number: Place(conversation_id=row.conversation_id, case_id=row.id)
        for row in rows
    }
