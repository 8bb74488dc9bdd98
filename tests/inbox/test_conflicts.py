"""Other content under a known id: both are kept, it is told, and nothing else moves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from gateway.clock import SystemClock
from gateway.errors import StoreUnavailable
from gateway.inbox import DiskGate, Inbox
from gateway.model import Address, Inbound, Item, ItemKind, Message, MessageId
from gateway.payload import Payload
from gateway.store import Store, schema

DATA = Path(__file__).parent / "data"
ONE = "one.json"
"""Anna's message; its text is personal, and in no log."""


async def read(inbound: Inbound) -> Message:
    """Read a part as a channel does."""
    said = Payload.from_json(inbound.original.body).find(inbound.part)
    return Message(
        id=MessageId(inbound.id),
        channel=inbound.channel,
        external_id=inbound.external_id,
        sender=Address("phone", said.text("from")),
        sent_at=inbound.original.received_at,
        received_at=inbound.original.received_at,
        text=said.text("text"),
    )


@dataclass
class Door:
    """The inbox of one channel, and what it told."""

    inbox: Inbox
    store: Store
    conflicts: Counter[str] = field(default_factory=Counter)

    async def take(self, file: str, *parts: str, **item) -> tuple[int, list[str]]:
        """Accept a file, its last part as ``m1``; return what is new, and the log."""
        ids = [f"other{n}" for n in range(len(parts) - 1)] + ["m1"]
        items = [
            Item(external_id=each, sender="anna", part=part, **item)
            for each, part in zip(ids, parts, strict=True)
        ]
        with capture_logs() as logs:
            new = await self.inbox.accept("phone", (DATA / file).read_bytes(), items)
        assert "via Dante" not in str(logs)
        return new, [log["event"] for log in logs]

    async def rows(self, table) -> list:
        return await self.store.read(lambda c: c.execute(table.select()).all())

    async def bodies(self) -> set[bytes]:
        return {row.body for row in await self.rows(schema.original)}


@pytest.fixture
def door(store: Store, tmp_path: Path) -> Door:
    """An inbox on each database, whose channel reads `read`."""
    inbox = Inbox(store, DiskGate(tmp_path, 0, SystemClock()), lambda queue: None)
    inbox.read = read
    door = Door(inbox, store)
    inbox.on_conflict = lambda channel: door.conflicts.update([channel])
    return door


def body(file: str) -> bytes:
    return (DATA / file).read_bytes()


@pytest.mark.parametrize("part", ["", "messages[0]"], ids=["whole", "part"])
async def test_same_body_again_is_a_silent_duplicate(door: Door, part: str):
    """What comes again byte by byte changes nothing and is not worth a word."""
    await door.take(ONE, part)

    assert (0, []) == await door.take(ONE, part)
    assert {body(ONE)} == await door.bodies()
    assert ["inbox.accepted"] == [e.action for e in await door.rows(schema.event)]


async def test_other_content_is_kept_and_flagged(door: Door):
    """The first stands; the second is kept, on the record by digest, and told."""
    await door.take(ONE, "messages[0]")

    assert (0, ["inbox_conflict"]) == await door.take("one_changed.json", "messages[0]")
    (item,) = await door.rows(schema.inbox)
    originals = {row.id: row for row in await door.rows(schema.original)}
    first = originals.pop(item.original_id)
    ((second_id, second),) = originals.items()
    assert (body(ONE), body("one_changed.json")) == (first.body, second.body)
    event = (await door.rows(schema.event))[-1]
    digest = sha256(second.salt + second.body).hexdigest()
    assert ("inbox.conflict", item.id) == (event.action, event.subject)
    assert {"original": second_id, "digest": digest} == orjson.loads(event.data)
    assert {"phone": 1} == door.conflicts
    assert 1 == len(await door.rows(schema.job))


async def test_conflict_that_comes_again_is_kept_once(door: Door):
    """A provider repeats the other content too: it is known by then."""
    await door.take(ONE, "messages[0]")
    await door.take("one_changed.json", "messages[0]")

    assert (0, []) == await door.take("one_changed.json", "messages[0]")
    assert 2 == len(await door.rows(schema.original))
    assert {"phone": 1} == door.conflicts


async def test_same_part_among_others_is_a_silent_duplicate(door: Door):
    """A provider batches anew: the item is the same, whatever stands beside it."""
    await door.take(ONE, "messages[0]")

    batch = "one_among_others.json", "messages[0]", "messages[1]"
    assert (1, []) == await door.take(*batch)
    assert (0, []) == await door.take(ONE, "messages[0]")
    assert {} == door.conflicts


async def test_part_that_now_is_another_is_flagged(door: Door):
    """The same id on another part of a batch is other content."""
    await door.take(ONE, "messages[0]")

    assert ["inbox_conflict"] == (
        await door.take("one_among_others.json", "messages[1]", "messages[0]")
    )[1]
    assert {body(ONE), body("one_among_others.json")} == await door.bodies()


async def test_whole_original_is_compared_by_its_bytes(door: Door):
    """An item that is its whole original (a mail) differs by a single byte."""
    await door.take("whole.json", "")

    assert (0, ["inbox_conflict"]) == await door.take("whole_one_byte_more.json", "")


async def test_what_can_not_be_read_is_kept(door: Door):
    """A channel that can't read one of the two can't call them the same."""
    await door.take(ONE, "messages[0]")

    assert (0, ["inbox_conflict"]) == await door.take(
        "one_unreadable.json", "messages[0]"
    )


async def test_receipt_is_never_a_conflict(door: Door):
    """All that counts in a receipt is in its id; the rest may come differently."""
    await door.take(ONE, "messages[0]", kind=ItemKind.RECEIPT)

    again = await door.take("one_changed.json", "messages[0]", kind=ItemKind.RECEIPT)
    assert (0, []) == again
    assert {body(ONE)} == await door.bodies()


async def test_no_acknowledgement_before_it_is_kept(door: Door, monkeypatch):
    """If the other content can't be kept the provider is not told that we have it."""
    await door.take(ONE, "messages[0]")

    async def fails(work):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(door.store, "run", fails)
    with pytest.raises(StoreUnavailable):
        await door.take("one_changed.json", "messages[0]")
