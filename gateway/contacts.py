"""Who writes, and in which thread: contacts by address, conversations by channel."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from gateway import audit, blocks, consents, identity
from gateway.errors import ContactError
from gateway.model import AddressChange, Contact, Event, Message
from gateway.store import schema
from gateway.store.prepared import Insertion, Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A message whose sender is to be found, perhaps identified by a plugin."""

    message: Message
    identified: Contact | None = None


def find_contacts(connection: Connection, senders: Sequence[Sender]) -> list[str]:
    """Return the contact id of each sender; a new one for a stranger.

    A plugin's word on who it is goes before any known address of the sender. The
    addresses not yet known are added to the contact, the others stay where they are,
    but for a number that has been given to somebody else: it goes to its new owner.
    """
    uris = (uri for sender in senders for uri in _uris(sender))
    stored = _known(connection, uris)
    recycled = _recycled(connection, senders, stored)
    known = {uri: each for uri, each in stored.items() if uri not in recycled}
    ids = _stored_ids(connection, senders)
    people: dict[str, str] = {}
    found: list[str] = []
    for sender in senders:
        contact_id = _look_up(sender, known, ids)
        if contact_id is None:
            contact_id, people[contact_id] = _stranger(sender)
            ids.add(contact_id)
        for uri in _uris(sender):
            known.setdefault(uri, contact_id)
        found.append(contact_id)
    stable = {str(s.message.sender) for s in senders if s.message.stable}
    new = {uri: each for uri, each in known.items() if uri not in stored}
    _insert(connection, people, new, stable)
    for uri, remaining in recycled.items():
        _hand_on(connection, uri, known[uri], remaining)
    return found


def _recycled(
    connection: Connection, senders: Sequence[Sender], stored: Mapping[str, str]
) -> dict[str, str]:
    """Return the numbers that have changed hands, each with its old owner's stable id.

    Whoever comes with a stable id that we don't know is another person than a contact
    who has one already, though they write from that contact's number.
    """
    suspects = {
        str(alias): stored[str(alias)]
        for sender in senders
        if sender.message.stable and str(sender.message.sender) not in stored
        for alias in sender.message.aliases
        if str(alias) in stored
    }
    if not suspects:
        return {}
    table = schema.address
    rows = connection.execute(
        select(table.c.contact_id, table.c.uri).where(
            table.c.contact_id.in_(set(suspects.values())), table.c.stable
        )
    )
    stable = {row.contact_id: row.uri for row in rows}
    return {uri: stable[each] for uri, each in suspects.items() if each in stable}


def _hand_on(connection: Connection, uri: str, contact_id: str, remaining: str) -> None:
    """Give an address to another contact; what goes to the old one goes elsewhere."""
    address, conversation = schema.address, schema.conversation
    old = connection.execute(
        select(address.c.contact_id).where(address.c.uri == uri)
    ).scalar_one()
    connection.execute(
        update(address).where(address.c.uri == uri).values(contact_id=contact_id)
    )
    consents.lose(connection, [uri], "gateway")
    connection.execute(
        update(conversation)
        .where(
            conversation.c.id.in_(
                select(conversation.c.id)
                .join(address, address.c.contact_id == conversation.c.contact_id)
                .where(address.c.uri == remaining)
            ),
            conversation.c.reply_to == uri,
        )
        .values(reply_to=remaining)
    )
    event = Event(
        action="contact.address_recycled",
        subject=contact_id,
        actor="gateway",
        data={"from": old},
    )
    audit.record(connection, event)


def _look_up(sender: Sender, known: Mapping[str, str], ids: set[str]) -> str | None:
    """Return the contact we have: by the plugin's word if there is one, by address."""
    identified = sender.identified
    if identified is not None and identified.id in ids:
        return identified.id
    addresses = (
        (sender.message.sender, *sender.message.aliases)
        if identified is None
        else identified.addresses
    )
    return next((known[uri] for uri in map(str, addresses) if uri in known), None)


def _stranger(sender: Sender) -> tuple[str, str]:
    """Return id and name of a contact that we don't have yet."""
    identified = sender.identified
    if identified is None:
        return identity.new_id(), sender.message.sender_name
    return identified.id, identified.name or sender.message.sender_name


def _uris(sender: Sender) -> list[str]:
    message = sender.message
    identified = sender.identified.addresses if sender.identified else ()
    every = (message.sender, *message.aliases, *identified)
    return list(dict.fromkeys(str(address) for address in every))


def _known(connection: Connection, uris: Iterable[str]) -> dict[str, str]:
    """Return the contact id of each address that we know."""
    table = schema.address
    rows = connection.execute(
        select(table.c.uri, table.c.contact_id).where(table.c.uri.in_(set(uris)))
    )
    return {row.uri: row.contact_id for row in rows}


def _stored_ids(connection: Connection, senders: Sequence[Sender]) -> set[str]:
    named = {each.identified.id for each in senders if each.identified is not None}
    if not named:
        return set()
    table = schema.contact
    return set(
        connection.execute(select(table.c.id).where(table.c.id.in_(named))).scalars()
    )


def _insert(
    connection: Connection,
    people: Mapping[str, str],
    addresses: Mapping[str, str],
    stable: Collection[str] = (),
) -> None:
    if people:
        rows = [{"id": each, "name": name} for each, name in people.items()]
        _INSERT_CONTACT.execute(connection, rows)
    if addresses:
        _INSERT_ADDRESS.execute(
            connection,
            [
                {"uri": uri, "contact_id": each, "stable": uri in stable}
                for uri, each in addresses.items()
            ],
        )


_INSERT_CONTACT = Insertion(schema.contact, ["id", "name"])
_INSERT_ADDRESS = Insertion(schema.address)
_INSERT_CONVERSATION = Insertion(
    schema.conversation,
    [column.name for column in schema.conversation.c if column.name != "anew_at"],
)
_TOUCH = Prepared(
    update(schema.conversation)
    .where(schema.conversation.c.id == bindparam("known"))
    .values(reply_to=bindparam("to"), last_inbound_at=bindparam("at"))
)


def find_conversations(
    connection: Connection, messages: Sequence[Message], contact_ids: Sequence[str]
) -> list[str]:
    """Return the conversation id of each message, opening new ones."""
    table = schema.conversation
    rows = connection.execute(
        select(table.c.id, table.c.channel, table.c.contact_id).where(
            table.c.channel.in_({message.channel for message in messages}),
            table.c.contact_id.in_(set(contact_ids)),
        )
    )
    known: dict[tuple[str, str], str] = {
        (row.channel, row.contact_id): row.id for row in rows
    }
    opened: list[dict[str, Any]] = []
    touched: list[dict[str, Any]] = []
    found: list[str] = []
    for message, contact_id in zip(messages, contact_ids, strict=True):
        key = (message.channel, contact_id)
        if key in known:
            touched.append(_touch(known[key], message))
        else:
            known[key] = identity.new_id()
            opened.append(_opened(known[key], contact_id, message))
        found.append(known[key])
    if opened:
        _INSERT_CONVERSATION.execute(connection, opened)
    if touched:
        _TOUCH.execute(connection, touched)
    return found


def add_address(connection: Connection, contact_id: str, uri: str, by: str) -> None:
    """Give a contact an address that staff know to be theirs.

    Raises:
        ContactError: it is another contact's.

    """
    owner = _known(connection, [uri]).get(uri)
    if owner == contact_id:
        return
    if owner is not None:
        text = f"the address is already that of contact {owner}"
        raise ContactError(text)
    _insert(connection, {}, {uri: contact_id})
    event = Event(action="contact.address_added", subject=contact_id, actor=by)
    audit.record(connection, event)


def change_address(connection: Connection, change: AddressChange) -> str | None:
    """Give the new addresses to the contact of the old ones; answers go there now.

    Returns the contact's id, if it is somebody we know.

    If a new one had a contact of its own already, that was the same person: all its
    addresses are the old contact's from now on. What was said stays where it is.
    """
    old, new = ([str(a) for a in part] for part in (change.old, change.new))
    known = _known(connection, [*old, *new])
    contact_id = next((known[uri] for uri in old if uri in known), None)
    if contact_id is None:
        return None
    merged = {known[uri] for uri in (*old, *new) if uri in known} - {contact_id}
    stable = new[:1] if change.stable else ()
    fresh = {uri: contact_id for uri in new if uri not in known}
    _insert(connection, {}, fresh, stable)
    address, conversation = schema.address, schema.conversation
    if new[len(stable) :]:
        # Whoever has the old number next is somebody else.
        gone = address.c.uri.in_(set(old) - set(new)), address.c.stable.is_(False)
        lost = connection.execute(delete(address).where(*gone).returning(address.c.uri))
        consents.lose(connection, lost.scalars().all(), f"channel:{change.channel}")
    if merged:
        connection.execute(
            update(address)
            .where(address.c.contact_id.in_(merged))
            .values(contact_id=contact_id)
        )
        _note_merged(connection, contact_id, merged)
    connection.execute(
        update(conversation)
        .where(
            conversation.c.channel == change.channel,
            conversation.c.contact_id.in_({contact_id, *merged}),
        )
        .values(reply_to=new[0])
    )
    event = Event(
        action="contact.moved",
        subject=contact_id,
        actor=f"channel:{change.channel}",
        data={"item": change.id, "merged": sorted(merged)},
    )
    audit.record(connection, event)
    blocks.merge(connection, contact_id, merged, event.actor)
    consents.merge(connection, contact_id, merged)
    return contact_id


def _note_merged(
    connection: Connection, contact_id: str, merged: Collection[str]
) -> None:
    """Note who some contacts are; whoever they are is nobody else."""
    table = schema.contact
    for into, which in ((contact_id, merged), (None, [contact_id])):
        connection.execute(
            update(table).where(table.c.id.in_(which)).values(merged_into=into)
        )


def _touch(conversation_id: str, message: Message) -> dict[str, Any]:
    return {
        "known": conversation_id,
        "to": str(message.sender),
        "at": message.received_at,
    }


def _opened(conversation_id: str, contact_id: str, message: Message) -> dict[str, Any]:
    return {
        "id": conversation_id,
        "channel": message.channel,
        "contact_id": contact_id,
        "reply_to": str(message.sender),
        "last_inbound_at": message.received_at,
    }
