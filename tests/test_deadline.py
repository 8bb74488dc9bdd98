"""A time limit for many tasks: ended when overdue, and only then."""

from __future__ import annotations

import asyncio
import functools

import looptime
import pytest

from gateway.deadline import Deadline


def virtual(test):
    """Run a test on a loop whose time passes at once."""

    @functools.wraps(test)
    def run() -> None:
        loop = looptime.new_event_loop()
        try:
            loop.run_until_complete(test())
        finally:
            loop.close()

    return run


async def wait(seconds: float) -> float:
    """Take so long."""
    await asyncio.sleep(seconds)
    return seconds


@virtual
async def test_what_is_in_time_is_left_alone():
    """The result comes back, even a little after a look."""
    assert 29.5 == await Deadline(30).run(wait, 29.5)


@virtual
async def test_what_is_overdue_ends_with_a_timeout():
    """At the limit, or within a second after; the task itself goes on."""
    began = asyncio.get_running_loop().time()

    with pytest.raises(TimeoutError):
        await Deadline(30).run(wait, 300)

    took = asyncio.get_running_loop().time() - began
    assert 30 <= took <= 31
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()


@virtual
async def test_each_has_its_own_time():
    """Those that start later end later."""
    deadline = Deadline(10)

    async def start(delay: float, seconds: float) -> float:
        await asyncio.sleep(delay)
        return await deadline.run(wait, seconds)

    results = await asyncio.gather(
        start(0, 100), start(5, 9), start(8, 100), return_exceptions=True
    )

    assert [True, False, True] == [isinstance(each, TimeoutError) for each in results]


@virtual
async def test_cancellation_from_elsewhere_stays_a_cancellation():
    """Who is cancelled by somebody else is not told of a timeout."""
    task = asyncio.create_task(Deadline(30).run(wait, 300))
    await asyncio.sleep(5)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_cancellation_in_the_same_moment_wins():
    """A task that must end ends, overdue or not."""
    deadline = Deadline(30)
    task = asyncio.create_task(deadline.run(wait, 300))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(31.0, task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_it_looks_only_while_something_runs():
    """An idle server has no timer."""
    deadline = Deadline(30)
    await deadline.run(wait, 2)
    await asyncio.sleep(5)

    assert not deadline._looking
    with pytest.raises(TimeoutError):
        await deadline.run(wait, 300)
