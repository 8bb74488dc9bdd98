"""Lines: so many at once, the first come first, and nobody's place is lost."""

from __future__ import annotations

import asyncio
import random

from gateway.channel import Line
from gateway.lines import Lines

SLOW = Line(name="slow", width=2)


async def test_first_come_first_served_two_at_once():
    """The order is that of arrival, and the width is kept."""
    lines, stopping = Lines(), asyncio.Event()
    order: list[int] = []
    inside = most = 0

    async def go(number: int) -> None:
        nonlocal inside, most
        async with lines.turn(SLOW, 10, stopping) as came:
            assert came
            inside += 1
            most = max(most, inside)
            order.append(number)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(go(number) for number in range(20)))

    assert list(range(20)) == order
    assert (2, 0) == (most, lines.waiting)


async def test_lines_do_not_wait_for_each_other():
    """A full line keeps nobody out of another, nor who has none."""
    lines, stopping = Lines(), asyncio.Event()
    async with (
        lines.turn(SLOW, 1, stopping),
        lines.turn(SLOW, 1, stopping),
        lines.turn(Line(name="other", width=1), 1, stopping) as other,
        lines.turn(None, 1, stopping) as none,
        lines.turn(SLOW, 0.01, stopping) as third,
    ):
        assert (True, True, False) == (other, none, third)


async def test_who_waits_gives_up_at_a_stop():
    """Nobody waits on when the gateway stops."""
    lines, stopping = Lines(), asyncio.Event()
    line = Line(name="slow", width=1)

    async def wait() -> bool:
        async with lines.turn(line, 60, stopping) as came:
            return came

    async with lines.turn(line, 1, stopping):
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        assert 1 == lines.waiting
        stopping.set()
        assert False is await waiting
    assert 0 == lines.waiting


async def test_no_place_is_lost_whatever_is_cancelled():
    """After any mixture of cancellations and time-outs all places are free again."""
    chance = random.Random(7)
    lines, stopping = Lines(), asyncio.Event()

    async def go() -> None:
        async with lines.turn(SLOW, chance.uniform(0, 0.005), stopping):
            await asyncio.sleep(chance.uniform(0, 0.002))

    tasks = [asyncio.create_task(go()) for _ in range(300)]
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)

    assert ({}, 0) == (lines._ways, lines.waiting)
    async with lines.turn(SLOW, 0, stopping), lines.turn(SLOW, 0, stopping) as second:
        assert second
