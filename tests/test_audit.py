"""The audit trail: chained, and every kind of tampering is found."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, delete, text, update

from gateway import audit
from gateway.model import Event
from gateway.store import Store, schema

EVENTS = 12


def event(number: int) -> Event:
    return Event(action="test", subject=f"s{number}", actor="a", data={"n": number})


@pytest.fixture
async def chain(store: Store) -> Store:
    """A store with a chain of some events, made in several transactions."""
    for number in range(0, EVENTS, 3):
        await store.run(
            lambda c, n=number: audit.record(c, event(n), event(n + 1), event(n + 2))
        )
    return store


async def test_sound_chain_verifies(chain: Store):
    """An untouched chain is sound, and its head is told."""
    found = await chain.read(audit.verify)

    assert (EVENTS, None) == (found.events, found.broken_at)
    assert 64 == len(found.head)


async def test_failed_unit_leaves_no_event(chain: Store):
    """The record is part of the transaction: no change, no event."""

    def work(connection: Connection) -> None:
        audit.record(connection, event(99))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await chain.run(work)

    assert EVENTS == (await chain.read(audit.verify)).events


TABLE = schema.event
TAMPERING = {
    "change data": update(TABLE).where(TABLE.c.seq == 5).values(data='{"n":6}'),
    "change subject": update(TABLE).where(TABLE.c.seq == 5).values(subject="x"),
    "change actor": update(TABLE).where(TABLE.c.seq == 5).values(actor="x"),
    "change action": update(TABLE).where(TABLE.c.seq == 5).values(action="x"),
    "change hash": update(TABLE).where(TABLE.c.seq == 5).values(hash=bytes(32)),
    "delete first": delete(TABLE).where(TABLE.c.seq == 1),
    "delete middle": delete(TABLE).where(TABLE.c.seq == 5),
    "delete last": delete(TABLE).where(TABLE.c.seq == EVENTS),
    "delete all": delete(TABLE),
    "delete head": delete(schema.chain),
    "shift time": text("UPDATE event SET at = at + 1 WHERE seq = 5"),
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
async def test_tampering_is_found(chain: Store, statement):
    """Whatever is changed or taken away, the verifier says where it broke."""
    await chain.run(lambda connection: connection.execute(statement) and None)

    assert (await chain.read(audit.verify)).broken_at is not None


async def test_truncation_with_a_forged_head_is_found_by_a_kept_head(chain: Store):
    """Whoever cuts the end and forges the head is caught by a head kept elsewhere."""
    kept = await chain.read(audit.verify)

    def forge(connection: Connection) -> None:
        last = connection.execute(TABLE.select().where(TABLE.c.seq == EVENTS - 1)).one()
        connection.execute(delete(TABLE).where(TABLE.c.seq == EVENTS))
        connection.execute(update(schema.chain).values(seq=last.seq, hash=last.hash))

    await chain.run(forge)

    assert (await chain.read(audit.verify)).broken_at is None
    found = await chain.read(
        lambda c: audit.verify(c, expected=(kept.events, kept.head))
    )
    assert EVENTS == found.broken_at


async def test_events_of_a_subject_are_found(chain: Store):
    """What is on record about one subject can be listed."""
    found = await chain.read(lambda c: audit.events_of(c, "s4"))

    assert ['{"n":4}'] == [row["data"] for row in found]
