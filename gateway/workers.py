"""Workers: claim jobs, run a handler on each, keep the leases alive, drain.

A handler records its own outcome, guarded by its claim. What it raises by mistake is a
crash: the job is tried again and, after too many crashes, put into the dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog

from gateway import identity, jobs, rates
from gateway.clock import Clock
from gateway.errors import Overloaded, StaleClaim, StoreError
from gateway.failpoints import hit
from gateway.jobs import Burial, Claim, ClaimRequest, Retry
from gateway.store import BatchWork, Store

log = structlog.get_logger()


class Claimed(Protocol):
    """A claim together with what its handler needs."""

    @property
    def claim(self) -> Claim:
        """Return the claim."""


WorkT = TypeVar("WorkT", bound=Claimed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How workers behave; durations in seconds."""

    lease: float = 60.0
    poll: float = 1.0
    max_crashes: int = 3
    backoff: float = 5.0
    backoff_cap: float = 3600.0


class Wakeups:
    """Tells workers that their queue has work; only a hint, polling is the truth."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._events: dict[str, asyncio.Event] = {}

    def of(self, queue: str) -> asyncio.Event:
        """Return the event that ``queue``'s worker waits for."""
        return self._events.setdefault(queue, asyncio.Event())

    def wake(self, queue: str) -> None:
        """Let ``queue``'s worker look at once."""
        self.of(queue).set()

    def wake_all(self) -> None:
        """Let every worker look at once."""
        for event in self._events.values():
            event.set()


class Crew:
    """All workers of a process: one boot id, one heartbeat."""

    def __init__(
        self, store: Store, clock: Clock, pace: Pace, chance: random.Random
    ) -> None:
        """Make a crew with a new boot id: no earlier process had it."""
        self.boot_id = identity.new_id()
        self.store = store
        self.clock = clock
        self.pace = pace
        self.chance = chance
        self.wakeups = Wakeups()
        self.stopping = asyncio.Event()
        self._held: dict[int, asyncio.Task[None]] = {}
        self._workers: list[Worker[Any]] = []
        self._claiming = 0
        self._all_held = asyncio.Event()
        self._all_held.set()

    @property
    def queues(self) -> set[str]:
        """Return the queues on which somebody works here."""
        return {worker.queue for worker in self._workers}

    def add(self, worker: Worker[Any]) -> None:
        """Take a worker on."""
        self._workers.append(worker)

    async def run(self, *, alone: bool) -> None:
        """Work until `drain`; ``alone``: no other process shares the database."""
        alone_as = self.boot_id if alone else None
        await self.store.run(lambda c: jobs.recover(c, alone_as=alone_as))
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(self._vital(worker.run(), f"worker {worker.queue}"))
            group.create_task(self._vital(self._heartbeat(), "heartbeat"))
            group.create_task(self._vital(self._tick(), "tick"))

    async def _vital(self, part: Awaitable[None], name: str) -> None:
        """Run a part that must not end before `drain`: without it, work would stand.

        Whatever ends it early ends the daemon, which is started again: better than one
        that looks alive and works no more.
        """
        try:
            await part
        except asyncio.CancelledError:
            if self.stopping.is_set():
                raise
        if not self.stopping.is_set():
            message = f"{name} ended before its time"
            raise RuntimeError(message)

    async def drain(self, seconds: float) -> None:
        """Stop claiming, finish what is under way, give the rest back."""
        self.stopping.set()
        self.wakeups.wake_all()
        # What is claimed at this moment would be given back as if it had been tried.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_held.wait()
        tasks = list(self._held.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store.run(lambda c: jobs.release(c, self.boot_id))

    @contextlib.contextmanager
    def claiming(self) -> Iterator[None]:
        """Let `drain` wait until what is claimed inside the block is held."""
        self._claiming += 1
        self._all_held.clear()
        try:
            yield
        finally:
            self._claiming -= 1
            if not self._claiming:
                self._all_held.set()

    def hold(self, claim: Claim, work: Awaitable[None]) -> asyncio.Task[None]:
        """Run ``work`` under ``claim`` and keep its lease alive."""
        task: asyncio.Task[None] = asyncio.ensure_future(_void(work))
        self._held[claim.id] = task
        task.add_done_callback(lambda _: self._let_go(claim.id, task))
        return task

    def _let_go(self, claim_id: int, task: asyncio.Task[None]) -> None:
        # A job may be claimed again before the old task has ended.
        if self._held.get(claim_id) is task:
            del self._held[claim_id]

    def delay(self, attempt: int, retry_after: float | None = None) -> timedelta:
        """Return how long to wait after ``attempt``: exponential, full jitter.

        At least ``retry_after`` seconds, where the other side said so.
        """
        ceiling = min(self.pace.backoff_cap, self.pace.backoff * 2 ** min(attempt, 30))
        seconds = self.chance.uniform(0, ceiling)
        return timedelta(seconds=max(seconds, retry_after or 0))

    async def _heartbeat(self) -> None:
        """Renew the leases; what can't be renewed is stopped before it runs out."""
        renewed_at = self.clock.monotonic()
        lease = timedelta(seconds=self.pace.lease)
        while not await self._stopped_within(self.pace.lease / 4):
            before = dict(self._held)
            try:
                alive = await self.store.run(
                    partial(jobs.renew, owner=self.boot_id, ids=before, lease=lease)
                )
                renewed_at = self.clock.monotonic()
            except StoreError as error:
                log.warning("heartbeat_failed", error=str(error))
                if self.clock.monotonic() - renewed_at < self.pace.lease * 2 / 3:
                    continue
                alive = set()
            self._fence({k: v for k, v in before.items() if k not in alive})

    def _fence(self, lost: dict[int, asyncio.Task[None]]) -> None:
        for claim_id, task in lost.items():
            # One that has just recorded its outcome has lost nothing.
            if self._held.get(claim_id) is task and not task.done():
                log.warning("claim_lost", job=claim_id)
                task.cancel()

    async def _tick(self) -> None:
        """Bring due jobs forward, and now and then those of workers that are gone."""
        ticks = 0
        while not await self._stopped_within(self._jittered(self.pace.poll)):
            ticks += 1
            try:
                woken = await self.store.run(jobs.wake_due)
                if ticks % 15 == 0:
                    woken += await self.store.run(jobs.recover)
                    await self.store.run(rates.forget)
            except StoreError as error:
                log.warning("tick_failed", error=str(error))
                continue
            if woken:
                self.wakeups.wake_all()

    def _jittered(self, seconds: float) -> float:
        return seconds * self.chance.uniform(0.75, 1.25)

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        return self.stopping.is_set()


async def _void(work: Awaitable[None]) -> None:
    await work


class Worker(Generic[WorkT]):
    """Works on one queue: claims as many jobs as there is room for."""

    def __init__(  # noqa: PLR0913 (a worker is wired once, in the composition root)
        self,
        crew: Crew,
        queue: str,
        *,
        claim: BatchWork[ClaimRequest, Sequence[WorkT]],
        handle: Callable[[WorkT], Awaitable[None]],
        concurrency: int,
        timeout: float,
        gate: Callable[[], int] | None = None,
        parked: Callable[[], int] = lambda: 0,
    ) -> None:
        """Work on ``queue``; ``gate`` says how many more it may claim now.

        ``parked`` says how many handlers only wait, and so leave their place to others.
        """
        self._crew = crew
        self.queue = queue
        self._claim = claim
        self._handle = handle
        self._concurrency = concurrency
        self._timeout = timeout
        self._gate = gate or (lambda: concurrency)
        self._parked = parked
        self._busy = 0

    async def run(self) -> None:
        """Claim and hand out until the crew stops."""
        wakeup = self._crew.wakeups.of(self.queue)
        while not self._crew.stopping.is_set():
            wakeup.clear()
            busy = self._busy - self._parked()
            room = min(self._concurrency - busy, self._gate())
            claimed = await self._take_on(room) if room > 0 else ()
            if len(claimed) < room or room <= 0:
                await self._rest(wakeup)

    async def _take_on(self, room: int) -> Sequence[WorkT]:
        """Claim, and start on what was claimed before anybody can stop."""
        with self._crew.claiming():
            claimed = await self._take(room)
            for work in claimed:
                self._start(work)
        return claimed

    async def _take(self, room: int) -> Sequence[WorkT]:
        request = ClaimRequest(
            queue=self.queue,
            owner=self._crew.boot_id,
            limit=room,
            lease=timedelta(seconds=self._crew.pace.lease),
        )
        try:
            return await self._crew.store.run_batched(self._claim, request)
        except StoreError as error:
            log.warning("claim_failed", queue=self.queue, error=str(error))
            return ()

    async def _rest(self, wakeup: asyncio.Event) -> None:
        """Wait for a hint or the next poll."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._crew.pace.poll):
                await wakeup.wait()

    def _start(self, work: WorkT) -> None:
        self._busy += 1
        task = self._crew.hold(work.claim, self._guarded(work))
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy -= 1
        self._crew.wakeups.wake(self.queue)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("worker_failed", queue=self.queue, exc_info=error)

    async def _guarded(self, work: WorkT) -> None:
        """Run the handler; a crash costs the job one of its lives."""
        try:
            if work.claim.crashes >= self._crew.pace.max_crashes:
                await self._quarantine(work.claim)
                return
            hit("worker.after_claim")
            async with asyncio.timeout(self._timeout):
                await self._handle(work)
            hit("worker.after_record")
        except StaleClaim:
            log.info("claim_stale", job=work.claim.id, queue=self.queue)
        except Overloaded:
            log.warning("handler_overloaded", job=work.claim.id, queue=self.queue)
            await self._put_back(work.claim)
        except Exception:
            log.exception("handler_failed", job=work.claim.id, queue=self.queue)
            await self._give_back(work.claim)

    async def _quarantine(self, claim: Claim) -> None:
        burial = Burial(
            claim=claim,
            code="crashed_worker",
            reason=f"the worker crashed {claim.crashes} times on it",
        )
        await self._crew.store.run_batched(bury_all, burial)

    async def _put_back(self, claim: Claim) -> None:
        """Put it back in its place; the pause keeps who has no room from spinning."""
        await asyncio.sleep(self._crew.pace.poll)
        with contextlib.suppress(StaleClaim):
            await self._crew.store.run_batched(put_all_back, claim)

    async def _give_back(self, claim: Claim) -> None:
        """Try again later; the attempt costs a life."""
        due_at = self._crew.clock.now() + self._crew.delay(claim.attempt)
        retry = Retry(claim=claim, due_at=due_at, crashed=True)
        # The record may have been committed before its answer was lost.
        with contextlib.suppress(StaleClaim):
            await self._crew.store.run_batched(retry_all, retry)


def bury_all(connection: Any, burials: Sequence[Burial]) -> list[None]:
    """Bury for many callers."""
    jobs.bury(connection, burials)
    return [None] * len(burials)


def put_all_back(connection: Any, claims: Sequence[Claim]) -> list[None]:
    """Put back for many callers."""
    jobs.put_back(connection, claims)
    return [None] * len(claims)


def retry_all(connection: Any, retries: Sequence[Retry]) -> list[None]:
    """Give back for many callers."""
    jobs.retry(connection, retries)
    return [None] * len(retries)
