"""A notice to many citizens, and the answers that pass it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select

from gateway import jobs, outbox
from gateway.campaigns import BATCH, Campaign, announce, find_readers
from gateway.jobs import ClaimRequest
from gateway.messages import Said, outbound_row
from gateway.messages import store as store_messages
from gateway.model import ChannelId
from gateway.outbox import NewDelivery
from gateway.store import Store, schema

MANY = 10_000
CHANNEL = ChannelId("whatsapp")
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
CAMPAIGN = Campaign(channel=CHANNEL, text="Domani mercato chiuso")


async def people(store: Store, count: int) -> list[str]:
    """Let so many have written; return their addresses."""
    numbers = [f"{n:05}" for n in range(count)]

    def work(connection):
        connection.execute(
            insert(schema.contact), [{"id": f"p{n}", "name": ""} for n in numbers]
        )
        connection.execute(
            insert(schema.address),
            [{"uri": f"whatsapp:{n}", "contact_id": f"p{n}"} for n in numbers],
        )
        connection.execute(
            insert(schema.conversation),
            [
                {
                    "id": f"c{n}",
                    "channel": CHANNEL,
                    "contact_id": f"p{n}",
                    "reply_to": f"whatsapp:{n}",
                    "last_inbound_at": NOW,
                }
                for n in numbers
            ],
        )

    await store.run(work)
    return [f"whatsapp:{n}" for n in numbers]


async def send(store: Store, uris: list[str]) -> int:
    """Announce the campaign as the command does; return how many are new."""
    readers = await store.read(lambda c: find_readers(c, CHANNEL, uris))
    every = readers.conversations
    return sum(
        [
            await store.run(
                lambda c, at=at: announce(
                    c, CAMPAIGN, every[at : at + BATCH], before=at, actor="test"
                )
            )
            for at in range(0, len(every), BATCH)
        ]
    )


async def claim(store: Store, limit: int) -> list[str]:
    """Claim deliveries, and finish them; return what they are for."""
    request = ClaimRequest(
        queue=f"deliver:channel:{CHANNEL}",
        owner="me",
        limit=limit,
        lease=timedelta(minutes=1),
    )
    (found,) = await store.run(lambda c: outbox.claim_parcels(c, [request]))
    await store.run(lambda c: jobs.finish(c, [parcel.claim for parcel in found]))
    return [parcel.purpose for parcel in found]


def answer(connection, conversation_id: str) -> None:
    """Enqueue an answer, as an office's."""
    said = Said(
        channel=CHANNEL, text="sì", conversation_id=conversation_id, case_id=None
    )
    row = outbound_row(said, NOW)
    store_messages(connection, [row])
    delivery = NewDelivery(
        message_id=row["id"],
        target=f"channel:{CHANNEL}",
        purpose="answer",
        recipient="whatsapp:x",
        lane=conversation_id,
    )
    outbox.enqueue(connection, [delivery])


async def test_answers_pass_a_campaign(store: Store):
    """10,000 notices are waiting; an answer waits for one turn, not for all of them.

    Also in the middle of it, and for a citizen whose own notice is the very last one.
    """
    uris = await people(store, MANY)
    assert MANY == await send(store, uris)
    await store.run(lambda c: answer(c, f"c{MANY - 1:05}"))
    first = await claim(store, 8)
    for _ in range(5):
        await claim(store, 100)
    await store.run(lambda c: answer(c, "c00000"))
    later = await claim(store, 8)

    assert 1 == first.count("answer")
    assert 1 == later.count("answer")


async def test_a_campaign_reaches_each_once(store: Store):
    """Run again, by hand or after it broke off, it sends only what is missing."""
    uris = await people(store, 3 * BATCH)
    await send(store, uris[:BATCH])

    assert 2 * BATCH == await send(store, uris)
    assert 0 == await send(store, uris)
    count = select(func.count()).select_from(schema.delivery)
    assert 3 * BATCH == await store.read(lambda c: c.execute(count).scalar_one())


async def test_who_is_left_out(store: Store):
    """Who never wrote on that channel, and who is blocked."""
    uris = await people(store, 3)
    block = insert(schema.blocked).values(
        contact_id="p00001", at=NOW, actor="t", reason="r"
    )
    await store.run(lambda c: c.execute(block))
    readers = await store.read(
        lambda c: find_readers(c, CHANNEL, [*uris, "whatsapp:unknown"])
    )
    elsewhere = await store.read(lambda c: find_readers(c, ChannelId("mail"), uris))

    assert ("c00000", "c00002") == readers.conversations
    assert ("whatsapp:00001", "whatsapp:unknown") == readers.skipped
    assert () == elsewhere.conversations


async def test_two_numbers_of_one_citizen(store: Store):
    """One conversation, one notice."""
    uris = await people(store, 1)
    second = insert(schema.address).values(uri="whatsapp:2", contact_id="p00000")
    await store.run(lambda c: c.execute(second))

    assert 1 == await send(store, [*uris, "whatsapp:2"])


async def test_on_the_record(store: Store):
    """Who announced what to how many, without a number or a name."""
    await send(store, await people(store, 2))
    rows = await store.read(lambda c: c.execute(select(schema.event)).all())

    assert [("campaign.announced", "test")] == [(r.action, r.actor) for r in rows]
    assert "whatsapp:0" not in rows[0].data
