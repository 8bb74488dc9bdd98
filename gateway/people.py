"""Finding a contact by what staff have in hand, and what there is to see of one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select

from gateway import blocks
from gateway.errors import NotFound
from gateway.model import Author
from gateway.store import schema


def by_name(connection: Connection, name: str) -> str:
    """Return the contact of an id, an address (``whatsapp:39…``) or a message.

    Raises:
        NotFound: it names nobody.

    """
    contact, address = schema.contact, schema.address
    statements = (
        select(contact.c.id).where(contact.c.id == name),
        select(address.c.contact_id).where(address.c.uri == name),
        _writer(name),
    )
    for statement in statements:
        found = connection.execute(statement).scalar_one_or_none()
        if found is not None:
            return now_known_as(connection, found)
    # Not repeated: it may be a number, and this may be logged.
    text = "no contact has that id or address, nor wrote such a message"
    raise NotFound(text)


def by_case(connection: Connection, number: str) -> str:
    """Return the contact whose case it is.

    Raises:
        NotFound: there is no such case.

    """
    case, conversation = schema.cases, schema.conversation
    found = connection.execute(
        select(conversation.c.contact_id)
        .join(case, case.c.conversation_id == conversation.c.id)
        .where(case.c.number == number)
    ).scalar_one_or_none()
    if found is None:
        text = f"no case {number}"
        raise NotFound(text)
    return now_known_as(connection, found)


def _writer(message_id: str) -> Select[Any]:
    """Find a citizen who wrote; an office's answer is in a citizen's conversation."""
    message, conversation = schema.message, schema.conversation
    return (
        select(conversation.c.contact_id)
        .join(message, message.c.conversation_id == conversation.c.id)
        .where(message.c.id == message_id, message.c.author == Author.CITIZEN.value)
    )


def now_known_as(connection: Connection, contact_id: str) -> str:
    """Return who a contact has become: old conversations keep their own."""
    table = schema.contact
    into = connection.execute(
        select(table.c.merged_into).where(
            table.c.id == contact_id, table.c.merged_into.is_not(None), _without()
        )
    ).scalar_one_or_none()
    return contact_id if into is None else now_known_as(connection, into)


def also_known_as(connection: Connection, contact_id: str) -> set[str]:
    """Return a contact and all that have become it: it has their conversations."""
    table = schema.contact
    found, last = {contact_id}, {contact_id}
    while last:
        rows = connection.execute(
            select(table.c.id).where(table.c.merged_into.in_(last), _without())
        )
        last = set(rows.scalars()) - found
        found |= last
    return found


def merged(connection: Connection) -> dict[str, str]:
    """Return who each contact that was merged has become."""
    table = schema.contact
    rows = connection.execute(
        select(table.c.id).where(table.c.merged_into.is_not(None), _without())
    )
    return {each: now_known_as(connection, each) for each in rows.scalars().all()}


def _without() -> ColumnElement[bool]:
    """Tell that a contact has no addresses: its own are another's, who it is."""
    address = schema.address
    return ~exists().where(address.c.contact_id == schema.contact.c.id)


def summaries(
    connection: Connection, limit: int, *, blocked: bool
) -> list[dict[str, Any]]:
    """Return contacts, or those ``blocked`` only, newest first; without their names."""
    contact, address, block = schema.contact, schema.address, schema.blocked
    addresses = (
        select(func.count())
        .where(address.c.contact_id == contact.c.id)
        .scalar_subquery()
    )
    statement = (
        select(
            contact.c.id,
            addresses.label("addresses"),
            block.c.at.label("blocked_at"),
            block.c.actor.label("blocked_by"),
            block.c.reason,
        )
        .join(block, block.c.contact_id == contact.c.id, isouter=not blocked)
        .order_by(*([block.c.at.desc()] if blocked else []), contact.c.id.desc())
        .limit(limit)
    )
    return _rows(connection, statement)


def card(connection: Connection, contact_id: str) -> dict[str, Any]:
    """Return all there is to see of a contact: addresses, consents, cases and so on."""
    contact, address, consent = schema.contact, schema.address, schema.consent
    conversation, case = schema.conversation, schema.cases
    name = connection.execute(
        select(contact.c.name).where(contact.c.id == contact_id)
    ).scalar_one()
    block = blocks.find(connection, contact_id)
    every = also_known_as(connection, contact_id)
    addresses = select(address.c.uri, address.c.stable).where(
        address.c.contact_id == contact_id
    )
    conversations = select(
        conversation.c.channel, conversation.c.reply_to, conversation.c.last_inbound_at
    ).where(conversation.c.contact_id.in_(every))
    cases = (
        select(case.c.number, case.c.service, case.c.status, case.c.opened_at)
        .join(conversation, conversation.c.id == case.c.conversation_id)
        .where(conversation.c.contact_id.in_(every))
    )
    consents = select(
        *(c for c in consent.c if c.name not in {"contact_id", "id"})
    ).where(consent.c.contact_id == contact_id)
    return {
        "id": contact_id,
        "name": name,
        "blocked_at": block.at if block else None,
        "blocked_by": block.actor if block else None,
        "reason": block.reason if block else None,
        "addresses": _rows(connection, addresses.order_by(address.c.uri)),
        "conversations": _rows(connection, conversations),
        "cases": _rows(connection, cases.order_by(case.c.number)),
        "consents": _rows(connection, consents.order_by(consent.c.given_at)),
    }


def _rows(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    return [
        {str(name): value for name, value in row.items()}
        for row in connection.execute(statement).mappings()
    ]
