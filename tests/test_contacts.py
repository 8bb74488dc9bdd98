"""Who is who, where many messages are recorded at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gateway.contacts import Sender, find_contacts
from gateway.model import Address, ChannelId, Contact, ContactId, Message, MessageId
from gateway.store import Store

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
