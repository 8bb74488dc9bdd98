"""Units of work: run in database threads, committed in groups."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

from gateway.clock import Clock
from gateway.errors import StoreError, StoreFull, StoreUnavailable
from gateway.failpoints import hit

T = TypeVar("T")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

Work = Callable[[Connection], T]
BatchWork = Callable[[Connection, Sequence[ItemT]], Sequence[ResultT]]

GROUP_LIMIT = 256
"""How many units share one commit at most: bounds the latency of the last one."""

COMPANY_SECONDS = 0.01
"""How long a unit waits for others at most, as long as the loop brings more."""

PENDING_LIMIT = 10_000
"""How many units may wait; more are refused, so that memory stays bounded."""

_TIDY_LATEST = 4
"""How many times later than it is due tidying may be, while units wait."""

_TRANSIENT_SQLSTATES = {"40001", "40P01"}
_RETRIES = 5


# What each database thread is at work on; only fault injection looks at it.
_current = threading.local()


@dataclass(slots=True, eq=False)
class _Unit:
    """One caller's share of a group."""

    work: Callable[..., Any]
    item: Any
    batched: bool
    future: asyncio.Future[Any]
    task: asyncio.Task[Any] | None

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Hand the outcome to the caller, unless they have gone."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Outcome:
    unit: _Unit
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """How a store reaches its database.

    ``writers`` threads run units; ``merge`` puts different functions into one
    transaction (right where there is a single writer, a deadlock risk elsewhere).
    ``tidy`` is called in a database thread after ``tidy_units`` units, when their
    callers have their outcomes: what it does keeps none of them waiting.
    """

    write: Engine
    read: Engine
    writers: int
    merge: bool
    close: Callable[[], None]
    tidy: Callable[[Engine], None] | None = None
    tidy_units: int = 256


class Store:
    """Runs units of work; ``seal`` is called in each transaction before it commits."""

    def __init__(
        self, engines: Engines, clock: Clock, seal: Callable[[Connection], None]
    ) -> None:
        """Start the database threads."""
        self._engines = engines
        self._clock = clock
        self._seal = seal
        self._waiting: deque[_Unit] = deque()
        self._turns: SimpleQueue[bool] = SimpleQueue()
        self._announced_in: asyncio.AbstractEventLoop | None = None
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="store-read")
        self.on_group: Callable[[int], None] = _unobserved
        self.on_events: Callable[[list[Any]], None] = _unobserved
        """Called in a database thread with what a commit put on the record."""
        self._threads = [
            threading.Thread(target=self._serve, name=f"store-{n}", daemon=True)
            for n in range(engines.writers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def dialect(self) -> str:
        """Name the database: ``sqlite`` or ``postgresql``."""
        return self._engines.write.dialect.name

    async def run(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction of its own or a shared one; durable on return.

        The function may be run twice (its group failed, it did not), so it must have
        no effect but on the connection. Cancelling the caller does not stop it.

        Raises:
            StoreFull, StoreUnavailable: see `gateway.errors`; or what ``work`` raised.

        """
        result: T = await self._submit(work, None, batched=False)
        return result

    async def run_batched(
        self, work: BatchWork[ItemT, ResultT], item: ItemT
    ) -> ResultT:
        """Run ``work`` on a list of all items waiting for it; return this one's result.

        For the hot path: many callers become one multi-row statement.
        """
        result: ResultT = await self._submit(work, item, batched=True)
        return result

    async def run_each(
        self, work: BatchWork[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT]:
        """Do what `run_batched` does for each of many items; return their results.

        Raises what one of them raised, once all are through.
        """
        units = self._submit_each(work, items, batched=True)
        results = await asyncio.gather(*units, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return cast("list[ResultT]", results)

    async def read(self, work: Work[T]) -> T:
        """Run a read-only function on a connection of its own."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, work)

    def close(self) -> None:
        """Finish what is queued, then close every connection. Blocks."""
        for _ in self._threads:
            self._turns.put(item=False)
        for thread in self._threads:
            thread.join()
        self._readers.shutdown()
        self._engines.close()

    def _submit(
        self, work: Callable[..., Any], item: Any, *, batched: bool
    ) -> asyncio.Future[Any]:
        (future,) = self._submit_each(work, [item], batched=batched)
        return future

    def _submit_each(
        self, work: Callable[..., Any], items: Sequence[Any], *, batched: bool
    ) -> list[asyncio.Future[Any]]:
        if len(self._waiting) > PENDING_LIMIT:
            message = f"more than {PENDING_LIMIT} units of work are waiting"
            raise StoreUnavailable(message)
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        units = [
            _Unit(work, item, batched, loop.create_future(), task) for item in items
        ]
        self._waiting.extend(units)
        if self._announced_in is not loop:
            self._announced_in = loop
            limit = loop.time() + COMPANY_SECONDS
            loop.call_soon(self._announce, loop, 0, limit)
        return [unit.future for unit in units]

    def _announce(
        self, loop: asyncio.AbstractEventLoop, seen: int, limit: float
    ) -> None:
        """Wake a database thread once the loop has nothing more to bring.

        While the loop is busy a thread would have to wait for the interpreter at each
        of its statements, and commit half of what could share its commit.
        """
        waiting = len(self._waiting)
        if seen < waiting < GROUP_LIMIT and loop.time() < limit:
            loop.call_soon(self._announce, loop, waiting, limit)
            return
        self._announced_in = None
        self._turns.put(item=True)

    def _read(self, work: Work[T]) -> T:
        try:
            with self._engines.read.connect() as connection:
                connection.info["clock"] = self._clock
                return work(connection)
        except DBAPIError as error:
            raise translate(error) from error

    def _serve(self) -> None:
        """Commit groups until told to stop, and then what is left."""
        going_on, since_tidy = True, 0
        while going_on:
            going_on = self._turns.get()
            while group := self._gather():
                self.on_group(len(group))
                for part in _partition(group, merge=self._engines.merge):
                    report(self.commit(part))
                since_tidy += len(group)
                if self._is_time(since_tidy):
                    self._tidy()
                    since_tidy = 0
                if going_on and len(group) < GROUP_LIMIT:
                    break

    def _is_time(self, units: int) -> bool:
        """Tell whether to tidy after so many units: soon, best when none is waiting."""
        due = self._engines.tidy_units
        return units >= due and (not self._waiting or units >= _TIDY_LATEST * due)

    def _tidy(self) -> None:
        if self._engines.tidy is not None:
            self._engines.tidy(self._engines.write)

    def _gather(self) -> list[_Unit]:
        """Take what is waiting now, up to the limit."""
        group: list[_Unit] = []
        with contextlib.suppress(IndexError):
            while len(group) < GROUP_LIMIT:
                group.append(self._waiting.popleft())
        return group

    def commit(self, group: list[_Unit]) -> list[_Outcome]:
        """Commit ``group`` as one transaction; if it fails, one by one."""
        try:
            return self._attempt(group)
        except Exception as error:  # noqa: BLE001 (whatever a unit raises goes to its caller)
            if len(group) > 1:
                return [outcome for unit in group for outcome in self.commit([unit])]
            return [_Outcome(group[0], error=error)]

    def _attempt(self, group: list[_Unit]) -> list[_Outcome]:
        """Run a group, again if the database asks for it (deadlock, serialisation)."""
        for retries_left in reversed(range(_RETRIES)):
            try:
                return self._transact(group)
            except DBAPIError as error:
                state = getattr(error.orig, "sqlstate", None)
                if state not in _TRANSIENT_SQLSTATES or not retries_left:
                    raise translate(error) from error
        raise AssertionError

    def _transact(self, group: list[_Unit]) -> list[_Outcome]:
        _current.tasks = [unit.task for unit in group if unit.task]
        with self._engines.write.connect() as connection:
            connection.info.update(clock=self._clock, now=None, events=[])
            hit("store.before_begin")
            with connection.begin():
                outcomes = list(perform(connection, group))
                self._seal(connection)
                hit("store.before_commit")
            hit("store.after_commit")
            noted = connection.info["events"]
        if noted:
            self.on_events(noted)
        return outcomes


def _unobserved(seen: object) -> None:
    del seen


def report(outcomes: Iterable[_Outcome]) -> None:
    """Wake the callers, with one call per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.unit.future.get_loop(), []).append(outcome)
    for loop, share in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, share)


def _settle(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        outcome.unit.settle(outcome.result, outcome.error)


def _partition(group: list[_Unit], *, merge: bool) -> Iterator[list[_Unit]]:
    """Split a group into transactions."""
    if merge:
        yield group
        return
    yield from _by_work(group)


def _by_work(group: list[_Unit]) -> list[list[_Unit]]:
    """Bring the units of one batched function together, the others one by one."""
    shares: dict[object, list[_Unit]] = {}
    for unit in group:
        shares.setdefault(unit.work if unit.batched else unit, []).append(unit)
    return list(shares.values())


def perform(connection: Connection, group: list[_Unit]) -> Iterator[_Outcome]:
    """Run a group's functions on ``connection``, batched where they are."""
    for share in _by_work(group):
        work = share[0].work
        if share[0].batched:
            results = work(connection, [unit.item for unit in share])
            for unit, result in zip(share, results, strict=True):
                yield _Outcome(unit, result)
        else:
            yield _Outcome(share[0], work(connection))


def tasks_in_commit() -> list[asyncio.Task[Any]]:
    """Return the tasks that await the group this database thread works on."""
    found: list[asyncio.Task[Any]] = getattr(_current, "tasks", [])
    return found


def now(connection: Connection) -> datetime:
    """Return the transaction's time: PostgreSQL's own, so that nodes agree."""
    known: datetime | None = connection.info.get("now")
    if known is None:
        if connection.dialect.name == "postgresql":
            known = connection.execute(select(func.clock_timestamp())).scalar_one()
        else:
            known = connection.info["clock"].now()
        connection.info["now"] = known
    return known


def translate(error: DBAPIError) -> StoreError:
    """Say in our words what the database said; the text holds no data."""
    name = type(error.orig).__name__
    orig = error.orig
    state = str(
        getattr(orig, "sqlstate", None) or getattr(orig, "sqlite_errorname", "")
    )
    if state == "SQLITE_FULL" or state.startswith("53"):
        return StoreFull(f"the database has no room ({name})")
    if error.connection_invalidated or state.startswith(("08", "57")):
        return StoreUnavailable(f"the database can't be reached ({name})")
    if name == "OperationalError":
        return StoreUnavailable(f"the database does not answer ({name} {state})")
    # Not the driver's text: it may quote a row.
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return StoreError(f"the database refused ({name} {state} {constraint or ''})")
