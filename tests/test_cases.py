"""Case numbers: one after the other, whoever asks at the same time."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection

from gateway import closing, duplicates, handing, merging, messages, outbox
from gateway.cases import Joining, Matter, Numbering, assign_cases
from gateway.city import City
from gateway.errors import CaseError
from gateway.handing import Turn
from gateway.model import (
    Address,
    Attachment,
    AttachmentState,
    Author,
    Case,
    ChannelId,
    Message,
    MessageId,
    MessageState,
    ServiceId,
)
from gateway.store import Store, schema
from gateway.texts import Texts

NEW_YEAR = datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)
NUMBERING = Numbering(pattern="URP-{year}-{number:06}", timezone=UTC)

CITY = City(
    texts=Texts("it"),
    services={ServiceId("urp"): "URP"},
    numbering=NUMBERING,
    joining=Joining(within=timedelta(hours=1)),
    acknowledge=True,
    wait_for_attachments=timedelta(0),
)


@pytest.fixture
async def conversations(store: Store) -> list[str]:
    """The conversations of two contacts."""

    def work(connection: Connection) -> list[str]:
        ids = ["one", "two"]
        contacts = [{"id": each, "name": ""} for each in ids]
        connection.execute(schema.contact.insert(), contacts)
        rows = [
            {
                "id": each,
                "channel": "phone",
                "contact_id": each,
                "reply_to": "",
                "last_inbound_at": NEW_YEAR,
            }
            for each in ids
        ]
        connection.execute(schema.conversation.insert(), rows)
        return ids

    return await store.run(work)


async def test_first_cases_of_a_year_at_once(store: Store, conversations: list[str]):
    """Two writers that both find no number taken yet take the first and the second."""
    taken = threading.Event()

    def take(connection: Connection, conversation_id: str) -> str:
        service = ServiceId("urp")
        matter = Matter(conversation_id=conversation_id, service=service, at=NEW_YEAR)
        joining = Joining(within=timedelta(0))
        (joined,) = assign_cases(connection, [matter], NUMBERING, joining)
        return joined.case.number

    def first(connection: Connection) -> str:
        number = take(connection, conversations[0])
        taken.set()
        time.sleep(0.3)  # before the commit: on PostgreSQL the other finds no number
        return number

    ahead = asyncio.ensure_future(store.run(first))
    await asyncio.to_thread(taken.wait, 10)
    behind = await store.run(lambda connection: take(connection, conversations[1]))

    assert ("URP-2027-000001", "URP-2027-000002") == (await ahead, behind)


def _open(connection: Connection, conversation_id: str, **more: object) -> Case:
    matter = Matter(
        conversation_id=conversation_id, service=ServiceId("urp"), at=NEW_YEAR, **more
    )
    joining = Joining(within=timedelta(hours=1))
    (joined,) = assign_cases(connection, [matter], NUMBERING, joining)
    return joined.case


async def _raced(store: Store, staff, citizen) -> object:
    """Let a message be recorded while staff's change is on its way to its commit."""
    begun = threading.Event()

    def change(connection: Connection) -> None:
        staff(connection)
        begun.set()
        time.sleep(0.3)

    ahead = asyncio.ensure_future(store.run(change))
    await asyncio.to_thread(begun.wait, 10)
    found = await store.run(citizen)
    await ahead
    return found


@pytest.mark.parametrize("named", [True, False])
async def test_message_while_its_case_is_merged(
    store: Store, conversations: list[str], named
):
    """It joins the case in which that one goes on, or opens one; never what is gone."""
    one, _ = conversations
    old = await store.run(lambda c: _open(c, one))
    new = await store.run(lambda c: _open(c, one, anew=True))
    pair = (old.number, new.number)
    aged = schema.cases.update().where(schema.cases.c.id == new.id)
    aged = aged.values(last_message_at=NEW_YEAR - timedelta(days=1))
    await store.run(lambda c: c.execute(aged))

    joined = await _raced(
        store,
        lambda c: merging.merge(c, *pair, CITY, by="staff"),
        lambda c: _open(c, one, case_id=old.id if named else None),
    )

    assert joined.id != old.id
    assert not named or joined.id == new.id


async def test_message_while_its_case_is_closed(store: Store, conversations: list[str]):
    """What names nothing joins no case that is being closed."""
    case = await store.run(lambda c: _open(c, conversations[0]))

    joined = await _raced(
        store,
        lambda c: closing.close(c, case.number, CITY, by="staff"),
        lambda c: _open(c, conversations[0]),
    )

    assert joined.id != case.id


async def test_case_linked_while_its_main_case_is_closed(
    store: Store, conversations: list[str]
):
    """Refused, or closed with it: no citizen waits for a word that never comes."""
    main, other = [
        await store.run(partial(_open, conversation_id=c)) for c in conversations
    ]

    def link(connection: Connection) -> str:
        try:
            duplicates.link(connection, other.number, main.number, by="staff")
        except CaseError as error:
            return str(error)
        return ""

    refused = await _raced(
        store, lambda c: closing.close(c, main.number, CITY, by="staff"), link
    )

    assert f"{main.number} is closed: reopen it first" == refused


async def test_photo_that_arrives_while_its_case_is_moved(
    store: Store, conversations: list[str]
):
    """It goes to the other service at once, not when nobody waits for it any more."""
    case = await store.run(lambda c: _open(c, conversations[0]))
    photo = Attachment(media_type="image/jpeg", locator="1")
    message = Message(
        id=MessageId("m"),
        channel=ChannelId("phone"),
        external_id="m",
        sender=Address("phone", "one"),
        sent_at=NEW_YEAR,
        received_at=NEW_YEAR,
        attachments=(photo,),
    )

    def say(connection: Connection) -> None:
        row = messages.inbound_row(
            message,
            author=Author.CITIZEN,
            state=MessageState.PROCESSED,
            conversation_id=conversations[0],
            case_id=case.id,
        )
        messages.store(connection, [row], [message])

    def arrive(connection: Connection) -> None:
        stored = replace(photo, state=AttachmentState.STORED, sha256="0" * 64)
        messages.update_attachment(connection, message.id, 0, stored)
        outbox.wake_source(connection, message.id)

    await store.run(say)
    before, after = ServiceId("urp"), ServiceId("strade")
    hour = timedelta(hours=1)
    turned = Turn(case_id=case.id, before=before, after=after, mark="1", patience=hour)
    await _raced(store, lambda c: handing.turn(c, turned), arrive)

    (job,) = await store.read(lambda c: c.execute(schema.job.select()).all())
    assert "ready" == job.state
