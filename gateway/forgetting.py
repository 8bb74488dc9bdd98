"""What plugins keep of a person, erased in one unit of work, whoever keeps it.

So is what they agreed to: no answer is on its way by then.

The keys of plugins' state tell whom a value is about (`gateway.plugin.PluginState`), so
it is erased also if its plugin is no longer enabled. Nothing else is: the key of a
cursor may end in a name that somebody writes under.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select

from gateway import audit, consents, people
from gateway.errors import CaseError
from gateway.model import Address, CaseStatus, Event
from gateway.store import schema

_AT_ONCE: Final = 500
"""Ids that one statement names."""
_BEFORE_ID: Final = re.compile("[/:]")
_BEFORE_ADDRESS: Final = re.compile("[a-z]+/")


def forget(connection: Connection, contact_id: str, reason: str, actor: str) -> int:
    """Erase what plugins keep of a contact; return how many values that were.

    On the record as ``contact.plugin_state_erased``, without what they were.

    Raises:
        CaseError: a case of theirs is open, or a delivery on its way: plugins still
            need what they know of it.

    """
    contacts = people.also_known_as(connection, contact_id)
    _require_rest(connection, contacts)
    ids, addresses = _ids(connection, contacts), _addresses(connection, contacts)
    table = schema.plugin_state
    keys = [
        (row.plugin, row.key)
        for row in connection.execute(select(table.c.plugin, table.c.key))
        if _is_about(row.key, ids, addresses)
    ]
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        connection.execute(delete(table).where(or_(*map(_is, some))))
    agreed = consents.erase(connection, contacts)
    event = Event(
        action="contact.plugin_state_erased",
        subject=contact_id,
        actor=actor,
        data={
            "reason": reason,
            "values": len(keys),
            "consents": agreed,
            "plugins": sorted({plugin for plugin, _ in keys}),
        },
    )
    audit.record(connection, event)
    return len(keys)


def _is(key: tuple[str, str]) -> ColumnElement[bool]:
    table = schema.plugin_state
    return and_(table.c.plugin == key[0], table.c.key == key[1])


def _is_about(key: str, ids: set[str], addresses: set[str]) -> bool:
    slot = _BEFORE_ADDRESS.match(key)
    if slot is not None and key[slot.end() :] in addresses:
        return True
    return any(key[each.end() :] in ids for each in _BEFORE_ID.finditer(key))


def _require_rest(connection: Connection, contacts: set[str]) -> None:
    case, conversation, job = schema.cases, schema.conversation, schema.job
    theirs = select(conversation.c.id).where(conversation.c.contact_id.in_(contacts))
    numbers = connection.execute(
        select(case.c.number)
        .where(
            case.c.conversation_id.in_(theirs),
            case.c.status != CaseStatus.CLOSED.value,
        )
        .order_by(case.c.number)
    ).scalars()
    if found := list(numbers):
        text = f"{', '.join(found)}: still open; close what is theirs first"
        raise CaseError(text)
    open_ = connection.execute(
        select(job.c.id).where(job.c.subject.in_(_deliveries(theirs))).limit(1)
    )
    if open_.first() is not None:
        text = "a delivery of theirs is on its way; wait until it has ended"
        raise CaseError(text)


def _deliveries(conversations: Any) -> Any:
    """Return the deliveries of conversations: of their messages, and of their cases."""
    delivery, message, case = schema.delivery, schema.message, schema.cases
    said = select(message.c.id).where(message.c.conversation_id.in_(conversations))
    matters = select(case.c.id).where(case.c.conversation_id.in_(conversations))
    return select(delivery.c.id).where(
        or_(delivery.c.message_id.in_(said), delivery.c.case_id.in_(matters))
    )


def _ids(connection: Connection, contacts: set[str]) -> set[str]:
    """Return the ids of all that was said and done for a contact."""
    conversation = schema.conversation
    message, case = schema.message, schema.cases
    theirs = select(conversation.c.id).where(conversation.c.contact_id.in_(contacts))
    statements = (
        select(message.c.id).where(message.c.conversation_id.in_(theirs)),
        select(case.c.id).where(case.c.conversation_id.in_(theirs)),
        _deliveries(theirs),
    )
    found = (connection.execute(statement).scalars() for statement in statements)
    return {each for ids in found for each in ids}


def _addresses(connection: Connection, contacts: set[str]) -> set[str]:
    """Return the values of a contact's addresses, of one given up since, too."""
    address, conversation = schema.address, schema.conversation
    statements = (
        select(address.c.uri).where(address.c.contact_id.in_(contacts)),
        select(conversation.c.reply_to).where(conversation.c.contact_id.in_(contacts)),
    )
    found = (connection.execute(statement).scalars() for statement in statements)
    return {Address.parse(uri).value for uris in found for uri in uris}
