"""Units of work: durable, grouped, isolated from one another's failures."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import Connection, insert, select, text

from gateway import audit
from gateway.clock import SystemClock
from gateway.errors import StoreError, StoreUnavailable
from gateway.store import Store, open_store, schema, units

ROW = schema.counter


def add(name: str):
    """Return a unit that inserts one row."""

    def work(connection: Connection) -> str:
        connection.execute(insert(ROW).values(name=name, value=1))
        return name

    return work


def names(connection: Connection) -> set[str]:
    return set(connection.execute(select(ROW.c.name)).scalars())


async def test_unit_is_stored_when_it_returns(store: Store):
    """What run() returned for can be read by another connection."""
    await store.run(add("one"))

    assert {"one"} == await store.read(names)


async def test_failing_unit_fails_alone(store: Store):
    """In a group, the unit that raises is rolled back and the others are stored."""

    def broken(connection: Connection) -> None:
        add("half")(connection)
        raise RuntimeError("nonsense")

    results = await asyncio.gather(
        *(store.run(add(f"good{n}")) for n in range(10)),
        store.run(broken),
        *(store.run(add(f"late{n}")) for n in range(10)),
        return_exceptions=True,
    )

    assert [True] == [
        isinstance(r, RuntimeError) for r in results if not isinstance(r, str)
    ]
    expected = {f"good{n}" for n in range(10)} | {f"late{n}" for n in range(10)}
    assert expected == await store.read(names)


async def test_batched_items_share_one_call_and_get_their_own_result(store: Store):
    """Items of one batched function come as a list; each caller gets its result."""
    calls: list[int] = []

    def double(connection: Connection, items) -> list[int]:
        calls.append(len(items))
        return [item * 2 for item in items]

    results = await asyncio.gather(*(store.run_batched(double, n) for n in range(50)))

    assert [n * 2 for n in range(50)] == results
    assert 50 == sum(calls)
    assert len(calls) < 50


async def test_batch_that_fails_is_run_one_by_one(store: Store):
    """One bad item of a batch does not take the others with it."""

    def picky(connection: Connection, items) -> list[int]:
        if 7 in items:
            raise ValueError("seven")
        return list(items)

    results = await asyncio.gather(
        *(store.run_batched(picky, n) for n in range(20)), return_exceptions=True
    )

    assert [n for n in range(20) if n != 7] == [
        r for r in results if isinstance(r, int)
    ]
    assert 1 == sum(isinstance(r, ValueError) for r in results)


async def test_many_items_of_one_caller(store: Store):
    """Each has its result, in order; a bad one is told when the others are through."""
    done = []

    def picky(connection: Connection, items) -> list[int]:
        if 300 in items:
            raise ValueError("three hundred")
        done.extend(items)
        return [item * 2 for item in items]

    assert [n * 2 for n in range(300)] == await store.run_each(picky, range(300))
    assert [] == await store.run_each(picky, [])
    done.clear()
    with pytest.raises(ValueError, match="three hundred"):
        await store.run_each(picky, range(290, 310))
    assert {*range(290, 310)} - {300} == set(done)


async def test_cancelled_caller_leaves_no_open_transaction(store: Store):
    """Cancelling whoever waits neither undoes the unit nor blocks the next."""
    waiting = asyncio.ensure_future(store.run(add("cancelled")))
    await asyncio.sleep(0)
    waiting.cancel()

    await store.run(add("next"))

    assert {"cancelled", "next"} == await store.read(names)


async def test_reading_connection_cannot_write(migrated: str):
    """On SQLite a reader is read-only: only one connection may write."""
    if not migrated.startswith("sqlite"):
        return
    store = open_store(migrated, SystemClock(), seal=audit.seal)
    try:
        with pytest.raises(StoreError, match="SQLITE_READONLY"):
            await store.read(add("sneaky"))
    finally:
        store.close()


async def test_second_daemon_on_the_same_file_is_refused(tmp_path):
    """Only one process may own an SQLite database; the error names the other."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    first = open_store(url, SystemClock(), seal=audit.seal, exclusive=True)
    try:
        with pytest.raises(StoreError, match="another gateway"):
            open_store(url, SystemClock(), seal=audit.seal, exclusive=True)
    finally:
        first.close()


async def test_sqlite_is_opened_as_the_promises_need_it(tmp_path):
    """The writer syncs every commit; anything less loses acknowledged rows."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    store = open_store(url, SystemClock(), seal=lambda connection: None)

    def pragmas(connection: Connection) -> dict[str, object]:
        wanted = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        return {
            name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in wanted
        }

    found = await store.run(pragmas)
    store.close()

    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
    }
    assert expected == found


async def test_unknown_database_is_refused_with_what_is_supported():
    """A URL of another database names what is supported."""
    with pytest.raises(StoreError, match="use sqlite or postgresql"):
        open_store("mysql://nobody@localhost/x", SystemClock(), seal=audit.seal)


async def test_too_many_waiting_units_are_refused(store: Store, monkeypatch):
    """Memory stays bounded: past the limit a unit is refused, not queued."""
    monkeypatch.setattr(units, "PENDING_LIMIT", -1)

    with pytest.raises(StoreUnavailable, match="waiting"):
        await store.run(add("one"))


async def test_closing_finishes_what_was_just_handed_in(migrated: str):
    """A unit whose thread was not even woken is stored all the same."""
    store = open_store(migrated, SystemClock(), seal=audit.seal)
    waiting = asyncio.ensure_future(store.run(add("last")))
    await asyncio.sleep(0)

    store.close()

    assert "last" == await waiting


async def test_units_of_a_busy_moment_share_a_commit(store: Store, monkeypatch):
    """While the loop brings more, a thread waits for it: one commit, not many."""
    monkeypatch.setattr(units, "COMPANY_SECONDS", 60.0)

    assert [20] == await group_sizes(store)


async def test_nobody_waits_long_for_company(store: Store):
    """A loop that brings more without end does not keep the first waiting."""
    assert len(await group_sizes(store)) > 1


async def group_sizes(store: Store) -> list[int]:
    """Bring a unit in each of 20 turns of the loop, 2 ms long; return the groups."""
    groups: list[int] = []
    store.on_group = groups.append

    async def bring(number: int) -> None:
        for _ in range(number):
            time.sleep(0.002 / 20)  # noqa: ASYNC251 (the loop is busy)
            await asyncio.sleep(0)
        await store.run_batched(count_in, number)

    await asyncio.gather(*(bring(number) for number in range(20)))
    return groups


def count_in(connection: Connection, items: list[int]) -> list[int]:
    """Return the items; the units of one group come in one call."""
    del connection
    return list(items)
