"""A citizen is blocked, at the gateway and at Meta, and heard again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import orjson
import pytest
from gateway_whatsapp.people import is_bsuid
from gateway_whatsapp.simulator import Fault
from gateway_whatsapp.simulator.simulator import WITHHELD
from whatsapp_town import Town, town_of

from gateway import blocks, people
from gateway.store import schema

CITIZEN = "393290000000"


@pytest.fixture
async def town(sim, tmp_path, secrets) -> AsyncIterator[Town]:
    """A whole gateway, in which somebody has written."""
    del secrets
    async with town_of(sim, tmp_path) as running:
        await running.say(sim.text(CITIZEN, "C'è una buca"))
        await sim.wait_sent(1)
        yield running


async def change(town: Town, how: Callable, *words: str) -> None:
    """Block or unblock the citizen."""
    store, mirrors = town.gateway.store, town.gateway.recorder.mirrors
    uri = f"whatsapp:{CITIZEN}"
    contact = await store.read(lambda c: people.by_name(c, uri))
    await store.run(lambda c: how(c, contact, *words, "staff", mirrors=mirrors))


async def mirrored(town: Town, count: int = 1) -> list:
    """Wait for what is on record about Meta's list."""
    event = schema.event
    asked = event.select().where(event.c.action == "contact.block_mirrored")
    async with asyncio.timeout(10):
        while True:
            rows = await town.gateway.store.read(lambda c: c.execute(asked).all())
            if len(rows) >= count:
                return [orjson.loads(row.data) for row in rows]
            await asyncio.sleep(0.02)


async def test_meta_lets_nothing_through(town: Town, sim):
    """By the user id, as Meta tells it; once it is lifted they are heard again."""
    await change(town, blocks.block, "insults")
    assert [True] == [each["done"] for each in await mirrored(town)]
    assert [True] == [is_bsuid(each) for each in sim.blocked]
    assert WITHHELD == await sim.webhook(sim.text(CITIZEN, "un insulto"))

    await change(town, blocks.unblock)
    assert [True, True] == [each["done"] for each in await mirrored(town, 2)]
    assert [] == sim.blocked
    await town.say(sim.text(CITIZEN, "la buca c'è ancora"))


async def test_meta_is_asked_until_it_answers(town: Town, sim):
    """A broken connection, an answer that never comes, a list under change."""
    sim.faults.block.extend(
        [
            Fault.dropped(accepted=True),
            Fault.error(139102),
            Fault.error(139103),
            Fault.http(502),
        ]
    )
    await change(town, blocks.block, "insults")

    assert [True] == [each["done"] for each in await mirrored(town)]
    assert 1 == len(sim.blocked)


async def test_without_meta_the_gateway_refuses(town: Town, sim):
    """Somebody who has not written for long can't be on Meta's list."""
    sim.faults.block.append(Fault.error(131047))
    await change(town, blocks.block, "insults")
    assert [(False, "131047")] == [
        (each["done"], each["code"]) for each in await mirrored(town)
    ]
    assert [] == sim.blocked
    await town.say(sim.text(CITIZEN, "un insulto"))

    message = schema.message
    refused = message.select().where(message.c.state == "rejected")
    async with asyncio.timeout(10):
        while not await town.gateway.store.read(lambda c: c.execute(refused).all()):
            await asyncio.sleep(0.02)
    assert 1 == len(sim.sent)
