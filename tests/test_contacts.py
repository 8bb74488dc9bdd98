"""Who is who, where many messages are recorded at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from gateway import contacts, people
from gateway.contacts import Sender, find_contacts, find_conversations
from gateway.model import (
    Address,
    AddressChange,
    ChannelId,
    Contact,
    ContactId,
    InboxId,
    Message,
    MessageId,
)
from gateway.store import Store, schema

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
ANNA = Message(
    id=MessageId("m1"),
    channel=ChannelId("phone"),
    external_id="1",
    sender=Address("tel", "1"),
    sent_at=NOW,
    received_at=NOW,
)


async def test_one_new_person_in_one_unit(store: Store):
    """Two messages of somebody a plugin names are one contact: the id goes first."""
    bea = Address("tel", "3")
    await store.run(
        lambda c: find_contacts(c, [Sender(message=replace(ANNA, sender=bea))])
    )
    person = Contact(id=ContactId("person-17"))
    at_work = replace(ANNA, id=MessageId("m2"), sender=Address("tel", "2"))
    senders = [
        Sender(message=ANNA, identified=person),
        Sender(message=at_work, identified=replace(person, addresses=(bea,))),
    ]

    found = await store.run(lambda c: find_contacts(c, senders))
    again = await store.run(lambda c: find_contacts(c, senders))

    assert ["person-17"] * 2 == found == again


async def test_one_stranger_in_one_unit(store: Store):
    """Two messages from one unknown address are one new contact."""
    senders = [Sender(message=ANNA), Sender(message=replace(ANNA, external_id="2"))]

    first, second = await store.run(lambda c: find_contacts(c, senders))

    assert first == second


def said(sender: str, *aliases: str, stable: bool = True) -> Sender:
    """Return somebody's message: ``sender`` is a stable id, ``aliases`` are numbers."""
    message = replace(
        ANNA,
        sender=Address("chat", sender),
        aliases=tuple(Address("chat", alias) for alias in aliases),
        stable=stable,
    )
    return Sender(message=message)


async def one(store: Store, sender: Sender) -> str:
    """Return the contact of one message, recorded by itself."""
    (found,) = await store.run(lambda c: find_contacts(c, [sender]))
    return found


async def test_number_without_an_id_gets_it(store: Store):
    """Who wrote before there were ids is the same person with one."""
    before = await one(store, said("39333", stable=False))

    assert before == await one(store, said("IT.anna", "39333"))
    assert before == await one(store, said("IT.anna"))


async def test_number_of_somebody_else_by_now(store: Store):
    """A number given to another person: no case, no answer of the old owner's for them.

    The old owner stays who they are, and is answered at their id.
    """
    anna = await one(store, said("IT.anna", "39333"))
    message = replace(ANNA, sender=Address("chat", "39333"))
    await store.run(lambda c: find_conversations(c, [message], [anna]))

    bea = await one(store, said("IT.bea", "39333"))

    assert anna != bea
    assert bea == await one(store, said("39333", stable=False))
    assert anna == await one(store, said("IT.anna"))
    rows = await store.read(lambda c: c.execute(schema.conversation.select()).all())
    assert ["chat:IT.anna"] == [row.reply_to for row in rows]
    events = await store.read(lambda c: c.execute(schema.event.select()).all())
    assert ["contact.address_recycled"] == [event.action for event in events]


async def test_number_changes_hands_within_one_unit(store: Store):
    """The same where both write at the same moment."""
    await one(store, said("IT.anna", "39333"))
    senders = [said("IT.bea", "39333"), said("IT.anna"), said("IT.bea", "39333")]

    bea, anna, again = await store.run(lambda c: find_contacts(c, senders))

    assert bea == again != anna


def _merge(connection: Connection, into: str, gone: str) -> None:
    change = AddressChange(
        id=InboxId("1"),
        channel=ChannelId("chat"),
        old=(Address("chat", into),),
        new=(Address("chat", gone),),
    )
    contacts.change_address(connection, change)


async def test_who_has_become_whom(store: Store):
    """One after the other; who writes from an address of their own is themselves."""
    a, b, c = [await one(store, said(each, stable=False)) for each in "abc"]
    await store.run(lambda connection: _merge(connection, "b", "a"))
    await store.run(lambda connection: _merge(connection, "c", "a"))
    known, merged = people.also_known_as, people.merged

    assert {a, b, c} == await store.read(lambda connection: known(connection, c))
    assert {a: c, b: c} == await store.read(merged)

    row = {"uri": "chat:new", "contact_id": b, "stable": False}
    await store.run(lambda c: c.execute(schema.address.insert().values(**row)))

    assert {c} == await store.read(lambda connection: known(connection, c))
    assert {a, b} == await store.read(lambda connection: known(connection, b))
    assert {a: b} == await store.read(merged)
