"""Case numbers: one after the other, whoever asks at the same time."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from gateway.cases import Joining, Matter, Numbering, assign_cases
from gateway.model import ServiceId
from gateway.store import Store, schema

NEW_YEAR = datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)
NUMBERING = Numbering(pattern="URP-{year}-{number:06}", timezone=UTC)


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
