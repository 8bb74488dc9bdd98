"""Many originals at once: as one by one, at less cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.errors import StoreFull
from gateway.inbox import DiskGate, Inbox
from gateway.model import Item
from gateway.store import Store, schema

MAILS = [
    (b"mail %d" % number, Item(external_id=f"m{number}", sender=""))
    for number in range(600)
]


@pytest.fixture
def inbox(store: Store, tmp_path: Path) -> Inbox:
    """An inbox on each database."""
    return Inbox(store, DiskGate(tmp_path, 0, SystemClock()), lambda queue: None)


async def test_each_is_stored_with_its_item(inbox: Inbox, store: Store):
    """More than one group; what is known already is told and not stored again."""
    seen = []
    inbox.on_accepted = lambda *counts: seen.append(counts)

    assert 400 == await inbox.accept_each("posta", MAILS[:400])
    assert 200 == await inbox.accept_each("posta", MAILS)

    assert [("posta", 400, 0), ("posta", 200, 400)] == seen
    joined = schema.inbox.join(schema.original)
    rows = await store.read(lambda c: c.execute(joined.select()).all())
    assert {(body, item.external_id) for body, item in MAILS} == {
        (row.body, row.external_id) for row in rows
    }
    assert 600 == len(rows)
    jobs = await store.read(lambda c: c.execute(schema.job.select()).all())
    assert 600 == len(jobs)


async def test_other_content_among_many_is_kept(inbox: Inbox, store: Store):
    """A conflict is seen among many as it is alone."""
    conflicts = []
    inbox.on_conflict = conflicts.append
    await inbox.accept_each("posta", MAILS[:3])

    other = [(b"other", MAILS[1][1])]
    assert 1 == await inbox.accept_each("posta", [*MAILS[:1], *other, MAILS[3]])

    assert ["posta"] == conflicts
    rows = await store.read(lambda c: c.execute(schema.original.select()).all())
    assert {b"other", *(body for body, _ in MAILS[:4])} == {row.body for row in rows}


async def test_none_without_room(store: Store, tmp_path: Path):
    """What the disk has no room for is refused before it is accepted."""
    inbox = Inbox(store, DiskGate(tmp_path, 2**62, SystemClock()), lambda queue: None)

    with pytest.raises(StoreFull):
        await inbox.accept_each("posta", MAILS[:2])

    assert [] == await store.read(lambda c: c.execute(schema.inbox.select()).all())
