"""No flow runs ahead of its limit, whoever sends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway import rates
from gateway.rates import Limit
from gateway.store import Store, schema

PAIR = Limit(
    name="c/1/anna", interval=timedelta(seconds=6), burst=45, each_recipient=True
)
NUMBER = Limit(name="c/0", interval=timedelta(seconds=1) / 80, burst=5)


async def turns(store: Store, *flows: list[Limit]) -> list[float]:
    """Take turns; return in how many seconds each comes."""
    before = datetime.now(UTC)
    found = await store.run(lambda c: rates.reserve(c, flows))
    return [max(0.0, (at - before).total_seconds()) for at in found]


async def test_burst_then_one_each_interval(store: Store):
    """45 at once, then each 6 seconds later than the one before."""
    found = await turns(store, *[[PAIR]] * 48)

    assert all(wait < 1 for wait in found[:45])
    assert [6, 12, 18] == [round(wait) for wait in found[45:]]


async def test_recipients_do_not_wait_for_each_other(store: Store):
    """A flow that is used up says nothing about another."""
    bea = Limit(name="c/1/bea", interval=PAIR.interval, burst=45)
    await turns(store, *[[PAIR]] * 60)

    assert [0] == [round(wait) for wait in await turns(store, [bea])]


async def test_the_slowest_limit_decides(store: Store):
    """Both the pair's and the number's limit hold, and both are charged."""
    await turns(store, *[[PAIR, NUMBER]] * 45)
    (both,) = await turns(store, [PAIR, NUMBER])
    (number,) = await turns(store, [NUMBER])

    assert 6 == round(both)
    assert 0.3 < number < 1


async def test_held_flow_waits(store: Store):
    """After Meta's refusal nobody goes before its pause is over."""
    until = datetime.now(UTC) + timedelta(seconds=64)
    await store.run(lambda c: rates.hold(c, [PAIR], until))

    assert [64, 70] == [round(wait) for wait in await turns(store, [PAIR], [PAIR])]


async def test_hold_of_nothing_is_nothing(store: Store):
    """Failures for other reasons leave the flows alone."""
    await store.run(lambda c: rates.hold(c, [], datetime.now(UTC)))

    assert [] == await store.read(lambda c: c.execute(select(schema.rate)).all())


async def test_idle_flows_are_forgotten(store: Store):
    """What has its whole burst again needs no row."""
    quick = Limit(name="quick", interval=timedelta(microseconds=1))
    await turns(store, [quick], [PAIR])
    await asyncio.sleep(0.01)

    assert 1 == await store.run(rates.forget)
    rows = await store.read(lambda c: c.execute(select(schema.rate)).all())
    assert [PAIR.name] == [row.name for row in rows]


async def test_nodes_share_a_flow(store: Store):
    """Turns taken at the same moment, from many threads, are all different."""
    flow = Limit(name="shared", interval=timedelta(seconds=1))
    found = await asyncio.gather(*(turns(store, [flow], [flow]) for _ in range(10)))

    waits = sorted(round(wait) for each in found for wait in each)
    assert list(range(20)) == waits


@settings(deadline=None, max_examples=200)
@given(
    interval=st.integers(1, 10**7),
    burst=st.integers(1, 50),
    arrivals=st.lists(st.integers(0, 10**7), min_size=1, max_size=60),
)
def test_never_more_than_burst_and_rate(interval, burst, arrivals):
    """In any span: at most the burst, and one more for each interval of it."""
    limit = Limit(name="f", interval=timedelta(microseconds=interval), burst=burst)
    at = datetime(2026, 11, 24, tzinfo=UTC)
    full_at, going = {"f": at}, []
    for pause in arrivals:
        at += timedelta(microseconds=pause)
        going.append(rates.take(full_at, [limit], at))

    assert going == sorted(going)
    for number, first in enumerate(going):
        for count, last in enumerate(going[number:], start=1):
            assert count <= burst + (last - first) // limit.interval
