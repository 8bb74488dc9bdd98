"""How fast citizens are written to: the provider's limits hold, order is kept."""

from __future__ import annotations

import asyncio
import time

from small_city import Outside, small_city

from gateway.channel import Rate
from gateway.errors import DeliveryError
from gateway.receipts import MOST_FAILURES
from gateway.store import schema

SLOWLY = Rate(per_second=10, burst=2, each_recipient=True)


def outside_with(*rates: Rate):
    """Return an outside whose channels are limited."""
    return Outside(rates=list(rates))


async def answer(city, text: str) -> None:
    """Let the office answer the first hand-over."""
    handover = city.outside.handovers[0]
    await city.say(
        channel="mail",
        sender="urp@office",
        text=text,
        references=[f"<{handover.delivery_id}@office>"],
    )


async def test_slow_way_stops_no_other(tmp_path, url):
    """Who waits behind a slow domain keeps order and leaves the others room."""
    outside = Outside(slow=asyncio.Event())
    async with small_city(
        tmp_path, outside=outside, url=url, outbox="concurrency = 3"
    ) as city:
        slow = [f"slow{number:02}" for number in range(12)]
        for number, sender in enumerate(slow, start=1):
            await city.say(sender=sender, text="ciao")
            await city.until(lambda n=number: len(outside.handovers) == n)
        for sender in ("anna", "bea", "carla"):
            await city.say(sender=sender, text="ciao")
        await city.until(lambda: len(outside.notices) == 3)

        assert {"anna", "bea", "carla"} == {n.to.value for n in outside.notices}
        outside.slow.set()
        await city.settle()
        assert slow == [notice.to.value for notice in outside.notices[3:]]


async def test_pair_rate_is_kept_in_order(tmp_path, url):
    """A long answer comes piece by piece, none before its turn, in the right order."""
    outside = outside_with(SLOWLY)
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await city.say(text="una buca")
        await city.settle()
        started = time.monotonic()
        await answer(city, "".join(f"{n:03}" + "." * 97 for n in range(10)))
        await city.settle()
        took = time.monotonic() - started

        whole = "".join(notice.text for notice in city.outside.notices[1:])
        numbers = [whole.index(f"{n:03}..") for n in range(10)]
        assert numbers == sorted(numbers)
        assert took > (len(city.outside.notices) - 3) / 10


async def test_refusal_holds_back_the_others(tmp_path, url):
    """Too fast for one recipient: nothing more goes to them until the pause is over."""
    outside = outside_with(Rate(per_second=1000, burst=50, each_recipient=True))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await city.say(text="una buca")
        await city.settle()
        pause = DeliveryError(
            "131056", "slow", retryable=True, retry_after=1.5, too_fast="recipient"
        )
        city.outside.faults.append(pause)
        await answer(city, "x" * 250)
        await city.until(lambda: not city.outside.faults)
        started = time.monotonic()
        await city.settle()

        assert time.monotonic() - started > 1
        assert 4 <= len(city.outside.notices)


async def test_stop_does_not_wait_for_turns(tmp_path):
    """What waits for its turn is put back unsent, and goes after the next start."""
    outside = outside_with(Rate(per_second=0.1, burst=1))
    async with small_city(tmp_path, outside=outside) as city:
        await city.say(sender="anna", text="una buca")
        await city.say(sender="bea", text="un lampione")
        await city.until(lambda: len(city.outside.notices) == 1)
        await asyncio.sleep(0.2)
        started = time.monotonic()

    assert time.monotonic() - started < 5
    again = outside_with()
    async with small_city(tmp_path, outside=again) as city:
        await city.settle()

        assert 1 == len(again.notices)
        dead = await city.rows(schema.dead_letter)
        assert [] == dead


async def test_failure_told_later_is_tried_again(tmp_path, url):
    """A status that says so makes another attempt; one that is late changes nothing."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="una buca")
        await city.settle()
        ours = city.outside.notices[0].delivery_id
        sent = {"of": f"sent-{ours}", "ours": ours}
        await city.report("failed", **sent, code="131000", retryable=True)
        await city.settle(waiting=1)
        (job,) = await city.rows(schema.job)
        await city.report("sent", **sent)
        await city.settle(waiting=1)
        states = await citizens(city)
        await city.report("delivered", **sent)
        await city.settle()

        assert ours == job.subject
        assert [("pending", "131000")] == states
        assert [("delivered", "")] == await citizens(city)
        assert [] == await city.rows(schema.dead_letter)


async def test_failure_told_again_and_again(tmp_path):
    """In the end staff see it."""
    async with small_city(tmp_path) as city:
        await city.say(text="una buca")
        await city.settle()
        for attempt in range(1, MOST_FAILURES + 1):
            ours = city.outside.notices[-1].delivery_id
            sent = {"of": f"sent-{attempt}", "ours": ours}
            await city.report("failed", **sent, code="131000", retryable=True)
            await city.settle(waiting=int(attempt < MOST_FAILURES))

        assert [("failed", "131000")] == await citizens(city)
        (dead,) = await city.rows(schema.dead_letter)
        assert ("131000", MOST_FAILURES) == (dead.code, dead.attempts)


async def citizens(city) -> list[tuple[str, str]]:
    """Return state and code of each delivery to a citizen."""
    return [
        (row.state, row.code)
        for row in await city.rows(schema.delivery)
        if row.target == "channel:phone"
    ]
