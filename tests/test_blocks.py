"""Whoever is blocked stays so, at whatever address, until it is lifted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway import audit, blocks, jobs, people
from gateway.cases import Joining, Numbering
from gateway.city import City
from gateway.clock import SystemClock
from gateway.contacts import Sender, change_address, find_contacts, find_conversations
from gateway.errors import NotFound
from gateway.jobs import ClaimRequest, NewJob
from gateway.model import (
    Address,
    AddressChange,
    Assignment,
    ChannelId,
    Contact,
    ContactId,
    InboxId,
    Manners,
    Message,
    MessageId,
    MessageState,
    ServiceId,
)
from gateway.outcome import Outcome
from gateway.records import Recorder
from gateway.store import Store, open_store, schema
from gateway.texts import Texts

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
PHONE = ChannelId("phone")
ANNA = Message(
    id=MessageId("m1"),
    channel=PHONE,
    external_id="1",
    sender=Address("tel", "1"),
    sent_at=NOW,
    received_at=NOW,
)


async def met(store: Store, message: Message = ANNA, **who: Contact) -> str:
    """Return the contact of a message, with a conversation."""

    def work(connection: Connection) -> str:
        found = find_contacts(connection, [Sender(message=message, **who)])
        find_conversations(connection, [message], found)
        return found[0]

    return await store.run(work)


async def actions(store: Store) -> list[str]:
    """Return what is on the record."""
    rows = await store.read(lambda c: c.execute(schema.event.select()).all())
    return [row.action for row in sorted(rows, key=lambda row: row.seq)]


def moved(old: Address, *new: Address) -> AddressChange:
    """Return that somebody's address is another by now."""
    return AddressChange(id=InboxId("i"), channel=PHONE, old=(old,), new=new)


async def test_block_and_unblock(store: Store):
    """Each is told once, is on the record once, and keeps its reason in the table."""
    anna = await met(store)

    assert await store.run(lambda c: blocks.block(c, anna, "insults", "staff"))
    assert not await store.run(lambda c: blocks.block(c, anna, "other", "staff"))
    assert await store.read(lambda c: blocks.is_blocked(c, anna))
    (block,) = await store.read(lambda c: blocks.list_(c, 10))
    assert (anna, "staff", "insults") == (block.contact_id, block.actor, block.reason)
    assert await store.run(lambda c: blocks.unblock(c, anna, "staff"))
    assert not await store.run(lambda c: blocks.unblock(c, anna, "staff"))

    assert not await store.read(lambda c: blocks.is_blocked(c, anna))
    assert [] == await store.read(lambda c: blocks.list_(c, 10))
    assert ["contact.blocked", "contact.unblocked"] == await actions(store)
    rows = await store.read(lambda c: c.execute(schema.event.select()).all())
    assert {"{}"} == {row.data for row in rows}


@pytest.mark.parametrize("change", [blocks.unblock, lambda *a: blocks.block(*a, "me")])
async def test_stranger_can_not_be_blocked(store: Store, change: Callable):
    """There must be a contact to block."""
    with pytest.raises(NotFound):
        await store.run(lambda c: change(c, "nobody", "r"))
    assert [] == await actions(store)


async def test_mirrored_where_the_contact_is(store: Store):
    """A job for each channel with a list on which they have written, and no other."""
    anna = await met(store)
    mirrors = {PHONE, ChannelId("other")}

    await store.run(lambda c: blocks.block(c, anna, "r", "staff", mirrors=mirrors))
    await store.run(lambda c: blocks.block(c, anna, "r", "staff", mirrors=mirrors))
    await store.run(lambda c: blocks.unblock(c, anna, "staff", mirrors=mirrors))

    rows = await store.read(lambda c: c.execute(schema.job.select()).all())
    assert [("block:phone", anna, anna)] * 2 == [
        (row.queue, row.lane, row.subject) for row in rows
    ]


async def test_block_goes_along_when_contacts_merge(store: Store):
    """The oldest one counts, with its reason; the contact that is left has it."""
    two, three = Address("tel", "2"), Address("tel", "3")
    anna = await met(store)
    bea = await met(store, replace(ANNA, sender=two))
    cleo = await met(store, replace(ANNA, sender=three))
    await store.run(lambda c: blocks.block(c, bea, "older", "staff"))
    await store.run(lambda c: blocks.block(c, cleo, "newer", "staff"))

    await store.run(lambda c: change_address(c, moved(ANNA.sender, two, three)))

    (block,) = await store.read(lambda c: blocks.list_(c, 10))
    assert (anna, "older") == (block.contact_id, block.reason)
    assert "contact.blocked" == (await actions(store))[-1]
    for name in (anna, bea, cleo, "tel:3"):
        assert anna == await store.read(lambda c, n=name: people.by_name(c, n))


async def test_own_block_is_kept_when_contacts_merge(store: Store):
    """A contact who is blocked stays so for their own reason."""
    two = Address("tel", "2")
    anna, bea = await met(store), await met(store, replace(ANNA, sender=two))
    await store.run(lambda c: blocks.block(c, bea, "theirs", "staff"))
    await store.run(lambda c: blocks.block(c, anna, "own", "staff"))

    await store.run(lambda c: change_address(c, moved(ANNA.sender, two)))

    (block,) = await store.read(lambda c: blocks.list_(c, 10))
    assert (anna, "own") == (block.contact_id, block.reason)


async def test_contact_without_addresses_is_themselves(store: Store):
    """A plugin may know somebody who has no address of their own."""
    await met(store)
    person = Contact(id=ContactId("person_17"))
    await met(store, identified=person)

    assert "person_17" == await store.read(lambda c: people.by_name(c, "person_17"))


def city() -> City:
    return City(
        texts=Texts("it"),
        services={ServiceId("urp"): "URP"},
        numbering=Numbering(pattern="{year}-{number}", timezone=ZoneInfo("UTC")),
        joining=Joining(within=timedelta(minutes=60)),
        acknowledge=True,
        wait_for_attachments=timedelta(0),
        manners={PHONE: Manners(mirrors_blocks=True)},
    )


URP = Assignment(service=ServiceId("urp"), reason="", source="default")


@dataclass
class Town:
    """People by stable id, by number or both, and what is to be taken of theirs.

    ``run`` keeps the addresses of one trial apart from those of others.
    """

    store: Store
    run: int
    recorder: Recorder = field(default_factory=lambda: Recorder(city()))
    owner: dict[str, int] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    count: int = 0
    expected: list[bool] = field(default_factory=list)
    taken: list[bool] = field(default_factory=list)

    def address(self, name: str) -> Address:
        return Address("chat", f"{self.run}.{name}")

    async def message(self, person: str, number: str) -> None:
        """Somebody writes, perhaps from a number that was another's."""
        recycled = person not in self.owner and any(
            self.owner[each] == self.owner.get(number)
            for each in PEOPLE
            if each in self.owner
        )
        if recycled:
            del self.owner[number]
        whose = self.owner.get(person, self.owner.get(number, self.count))
        self.owner[person] = whose
        self.owner.setdefault(number, whose)
        await self._say(person, (number,), stable=True)

    async def call(self, _: str, number: str) -> None:
        """Somebody writes of whom nothing but the number is known."""
        self.owner.setdefault(number, self.count)
        await self._say(number, (), stable=False)

    async def _say(
        self, sender: str, aliases: tuple[str, ...], *, stable: bool
    ) -> None:
        self.count += 1
        message = replace(
            ANNA,
            id=MessageId(f"{self.run}-{self.count}"),
            external_id=f"{self.run}-{self.count}",
            sender=self.address(sender),
            aliases=tuple(map(self.address, aliases)),
            stable=stable,
        )
        outcome = Outcome(
            message=message,
            state=MessageState.PROCESSED,
            reason="",
            verdicts=(),
            assignment=URP,
        )
        state = await self.store.run(lambda c: self._record(c, outcome))
        self.expected.append(self.owner[sender] not in self.blocked)
        self.taken.append(state == MessageState.PROCESSED.value)

    def _record(self, connection: Connection, outcome: Outcome) -> str:
        queue = f"process-{self.run}"
        jobs.enqueue(connection, [NewJob(queue=queue, lane="l", subject="s")])
        request = ClaimRequest(
            queue=queue, owner="o", limit=1, lease=timedelta(minutes=1)
        )
        ((claim,),) = jobs.claim(connection, [request])
        self.recorder.record_outcomes(connection, [(claim, outcome)])
        table = schema.message
        stored = table.select().where(table.c.id == outcome.message.id)
        return connection.execute(stored).one().state

    async def block(self, person: str, number: str) -> None:
        """Staff block whoever has the number."""
        await self._change(number, lambda c, i: blocks.block(c, i, "r", "staff"))
        self.blocked |= {self.owner[n] for n in (number,) if n in self.owner}

    async def unblock(self, person: str, number: str) -> None:
        """Staff lift a person's block."""
        await self._change(person, lambda c, i: blocks.unblock(c, i, "staff"))
        self.blocked -= {self.owner[n] for n in (person,) if n in self.owner}

    async def _change(self, name: str, change: Callable) -> None:
        if name in self.owner:
            uri = str(self.address(name))
            await self.store.run(lambda c: change(c, people.by_name(c, uri)))

    async def merge(self, new: str, old: str) -> None:
        """Whoever has a number has another id now: the two are one and the same."""
        told = replace(
            moved(self.address(old), self.address(new)),
            id=InboxId(f"{self.run}-{self.count}"),
            stable=True,
        )
        await self.store.run(lambda c: change_address(c, told))
        if old not in self.owner:
            return
        left, merged = self.owner[old], self.owner.get(new)
        self.owner[new] = left
        self.owner |= {n: left for n, each in self.owner.items() if each == merged}
        if merged in self.blocked:
            self.blocked.add(left)


PEOPLE = ("IT.anna", "IT.bea")
NUMBERS = ("1", "2")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("message", "call", "block", "unblock", "merge")),
        st.sampled_from(PEOPLE),
        st.sampled_from(NUMBERS),
    ),
    max_size=14,
)


def test_just_the_messages_of_who_is_not_blocked(migrated: str):
    """Whatever is blocked, lifted, merged, and whichever numbers change hands."""
    runs = iter(range(10**6))

    @settings(max_examples=100, deadline=None)
    @given(steps=STEPS)
    def trial(steps: list[tuple[str, str, str]]) -> None:
        town = Town(made, next(runs))
        loop.run_until_complete(play(town, steps))
        assert town.expected == town.taken

    async def play(town: Town, steps: list[tuple[str, str, str]]) -> None:
        for action, person, number in steps:
            await getattr(town, action)(person, number)
        for person, number in zip(PEOPLE, NUMBERS, strict=True):
            await town.message(person, number)
            await town.call(person, number)

    made = open_store(migrated, SystemClock(), seal=audit.seal)
    loop = asyncio.new_event_loop()
    try:
        trial()
    finally:
        made.close()
        loop.close()
