"""The work queue: fair, ordered, fenced; on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from gateway import audit, dead_letters, depths, jobs, leases
from gateway.errors import NotFound, StaleClaim
from gateway.jobs import Burial, Claim, ClaimRequest, NewJob, Retry
from gateway.store import Store, schema

LEASE = timedelta(seconds=60)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
PAST = datetime(2000, 1, 1, tzinfo=UTC)


def job(lane: str, subject: str, **more) -> NewJob:
    return NewJob(queue="q", lane=lane, subject=subject, **more)


async def enqueue(store: Store, *new: NewJob) -> None:
    await store.run(lambda c: jobs.enqueue(c, new))


async def claim(store: Store, limit: int = 1, owner: str = "me") -> list[Claim]:
    request = ClaimRequest(queue="q", owner=owner, limit=limit, lease=LEASE)
    return await store.run_batched(jobs.claim, request)


async def finish(store: Store, *claims: Claim) -> None:
    await store.run(lambda c: jobs.finish(c, claims))


async def drain(store: Store) -> list[str]:
    """Claim and finish one by one; return the subjects in the order served."""
    served = []
    while claims := await claim(store):
        served.append(claims[0].subject)
        await finish(store, *claims)
    return served


async def test_flood_delays_others_by_one_turn(store: Store):
    """Behind 10,000 jobs of one lane, each of 200 others waits for one of them at most.

    The flood itself goes on in its order.
    """
    flood = [job("flood", f"f{n}") for n in range(10_000)]
    citizens = [job(f"c{n}", f"c{n}") for n in range(200)]
    await enqueue(store, *flood)
    await enqueue(store, *citizens)

    order = []
    while len(order) < 2 * len(citizens):
        (held,) = await claim(store)
        order.append(held.subject)
        await finish(store, held)

    served = [n for n, subject in enumerate(order) if subject.startswith("c")]
    assert len(citizens) == len(served)
    assert len(citizens) >= max(served)
    flooded = [subject for subject in order if subject.startswith("f")]
    assert [each.subject for each in flood[: len(flooded)]] == flooded


async def test_lane_keeps_its_order_and_runs_one_at_a_time(store: Store):
    """The second job of a lane is not handed out before the first is finished."""
    await enqueue(store, job("a", "first"), job("a", "second"))

    (first,) = await claim(store, limit=10)
    assert "first" == first.subject
    assert [] == await claim(store)
    await finish(store, first)

    assert ["second"] == [each.subject for each in await claim(store)]


async def test_retried_job_does_not_block_its_lane(store: Store):
    """A poison message does not block the next; it comes back when it is due."""
    await enqueue(store, job("a", "poison"), job("a", "next"))
    (poison,) = await claim(store)
    await store.run(lambda c: jobs.retry(c, [Retry(claim=poison, due_at=PAST)]))

    assert ["next"] == await drain(store)
    assert 1 == await store.run(jobs.wake_due)
    assert ["poison"] == await drain(store)


async def test_waiting_job_is_not_handed_out_before_its_time(store: Store):
    """A job with a time waits for it, unless it is woken."""
    await enqueue(store, job("a", "later", due_at=LATER))
    assert 0 == await store.run(jobs.wake_due)
    assert [] == await claim(store)

    await store.run(lambda c: jobs.wake(c, ["later"]))

    assert ["later"] == await drain(store)


@pytest.mark.parametrize("action", ["finish", "retry", "bury"])
async def test_stale_claim_records_nothing(store: Store, action: str):
    """Once recovered by another, a claim can't finish, retry or bury the job."""
    await enqueue(store, job("a", "x"))
    (stale,) = await claim(store, owner="zombie")
    assert 1 == await store.run(lambda c: jobs.recover(c, alone_as="other"))
    (fresh,) = await claim(store, owner="other")
    assert fresh.fence > stale.fence
    assert fresh.crashed

    works = {
        "finish": lambda c: jobs.finish(c, [stale]),
        "retry": lambda c: jobs.retry(c, [Retry(claim=stale, due_at=LATER)]),
        "bury": lambda c: jobs.bury(c, [Burial(claim=stale, code="x", reason="x")]),
    }
    with pytest.raises(StaleClaim):
        await store.run(works[action])

    await finish(store, fresh)


async def test_only_expired_leases_are_recovered(store: Store):
    """A live worker's job stays its own; one whose lease ran out is given back."""
    await enqueue(store, job("a", "live"), job("b", "gone"))
    claims = await claim(store, limit=2)
    gone = next(each for each in claims if each.subject == "gone")

    def expire(connection: Connection) -> None:
        table = schema.job
        connection.execute(
            update(table).where(table.c.id == gone.id).values(lease_until=PAST)
        )

    await store.run(expire)

    assert 1 == await store.run(jobs.recover)
    assert ["gone"] == [each.subject for each in await claim(store, limit=5)]


async def test_renewal_covers_only_what_is_held_by_the_owner(store: Store):
    """A heartbeat renews the owner's live jobs and nobody else's."""
    await enqueue(store, job("a", "1"), job("b", "2"))
    (mine,) = await claim(store, owner="me")
    (other,) = await claim(store, owner="other")

    def renew(connection: Connection) -> set[int]:
        return jobs.renew(connection, "me", [mine.id, other.id], LEASE)

    assert {mine.id} == await store.run(renew)


async def test_dead_letter_can_be_retried_and_discarded_once(store: Store):
    """A dead letter is shown, retried or discarded, each on the record."""
    await enqueue(store, job("a", "x"))
    (held,) = await claim(store)
    burial = Burial(claim=held, code="expired", reason="no answer")
    await store.run(lambda c: jobs.bury(c, [burial]))
    (letter,) = await store.read(lambda c: c.execute(schema.dead_letter.select()).all())

    await store.run(lambda c: dead_letters.resurrect(c, letter.id, "staff"))
    with pytest.raises(NotFound):
        await store.run(lambda c: dead_letters.discard(c, letter.id, "why", "staff"))

    assert ["x"] == await drain(store)
    actions = [
        row["action"] for row in await store.read(lambda c: audit.events_of(c, "x"))
    ]
    assert ["job.dead", "dead_letter.retried"] == actions


async def test_parallel_claims_never_share_a_job(store: Store):
    """Many claimers at once get every job, each exactly once."""
    await enqueue(store, *(job(f"lane{n}", f"{n}") for n in range(200)))

    async def work(owner: str) -> list[str]:
        served = []
        while claims := await claim(store, limit=3, owner=owner):
            served += [each.subject for each in claims]
            await finish(store, *claims)
        return served

    shares = await asyncio.gather(*(work(f"w{n}") for n in range(8)))

    assert sorted(map(str, range(200))) == sorted(s for share in shares for s in share)


async def test_concurrent_arrivals_and_departures_leave_no_job_behind(store: Store):
    """A job that arrives while its lane's head leaves is not forgotten."""
    served: list[str] = []

    async def produce() -> None:
        for number in range(100):
            await enqueue(store, job("lane", str(number)))

    async def consume() -> None:
        while len(served) < 100:
            for each in await claim(store):
                served.append(each.subject)
                await finish(store, each)

    async with asyncio.timeout(30):
        await asyncio.gather(produce(), consume())

    assert [str(number) for number in range(100)] == served


async def test_single_ownership_passes_on_when_the_lease_ends(store: Store):
    """One owner at a time; another takes over only after the lease ran out."""

    def take(owner: str, lease: timedelta = LEASE):
        return lambda c: leases.take(c, "imap", owner, lease)

    assert await store.run(take("a", timedelta(seconds=-1)))
    assert await store.run(take("b"))
    assert not await store.run(take("a"))
    assert await store.run(take("b"))


async def test_who_stops_leaves_its_ownership_at_once(store: Store):
    """And who is alone takes over that of a process that was killed."""

    def take(owner: str):
        return lambda c: leases.take(c, "imap", owner, LEASE)

    assert await store.run(take("a"))
    await store.run(lambda c: leases.give_up(c, "imap", "b"))
    assert not await store.run(take("b"))
    await store.run(lambda c: leases.give_up(c, "imap", "a"))
    assert await store.run(take("b"))
    await store.run(lambda c: jobs.recover(c, alone_as="b"))
    assert not await store.run(take("c"))
    await store.run(lambda c: jobs.recover(c, alone_as="c"))
    assert await store.run(take("c"))


async def test_depths_tell_open_and_dead_work(store: Store):
    """The measures that operators watch count what is there."""
    await enqueue(store, job("a", "1"), job("a", "2"), job("b", "3"))
    (held,) = await claim(store)
    burial = Burial(claim=held, code="x", reason="y")
    await store.run(lambda c: jobs.bury(c, [burial]))

    depth = (await store.read(depths.measure))["q"]

    assert (2, 1) == (depth.open, depth.dead)
    assert depth.oldest_ready_age >= timedelta(0)


async def test_put_back_keeps_place_and_lives(store: Store):
    """Nothing was tried: the next of the lane waits, and crashes stay counted."""
    await enqueue(store, job("a", "first"), job("a", "second"))
    (held,) = await claim(store)
    await store.run(
        lambda c: jobs.retry(c, [Retry(claim=held, due_at=PAST, crashed=True)])
    )
    await store.run(jobs.wake_due)
    (second,) = await claim(store)
    await finish(store, second)
    (held,) = await claim(store)
    await enqueue(store, job("a", "third"))

    await store.run(lambda c: jobs.put_back(c, [held]))
    (again,) = await claim(store, limit=5)

    assert ("first", 1) == (again.subject, again.crashes)
    with pytest.raises(StaleClaim):
        await store.run(lambda c: jobs.put_back(c, [held]))
