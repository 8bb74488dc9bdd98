"""What commands that look at the database share: opening it beside the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Select

from gateway import audit
from gateway.clock import SystemClock
from gateway.errors import NotFound
from gateway.setup import Setup, set_up
from gateway.store import Store, Work, open_store
from gateway.store.migrate import require_current

T = TypeVar("T")

ACTOR = "staff:cli"
"""Who acts, on the record, when somebody uses the command line."""


def read(config: Path, work: Work[T]) -> T:
    """Run a read-only function on the configured database."""
    return read_in(set_up(config), work)


def read_in(setup: Setup, work: Work[T]) -> T:
    """Run a read-only function on the database of a configuration read before."""
    return _with_store(setup, lambda store: store.read(work))


def read_by(config: Path, work: Callable[[Setup], Work[T]]) -> T:
    """Run a read-only function that depends on the configuration."""
    setup = set_up(config)
    return _with_store(setup, lambda store: store.read(work(setup)))


def write(config: Path, work: Callable[[Setup], Work[T]]) -> T:
    """Run a unit of work; a running daemon sees the result at its next poll."""
    setup = set_up(config)
    return _with_store(setup, lambda store: store.run(work(setup)))


def write_each(config: Path, works: Sequence[Work[T]]) -> list[T]:
    """Run units of work one after the other, on a database opened once."""
    return write_in(set_up(config), works)


def write_in(setup: Setup, works: Sequence[Work[T]]) -> list[T]:
    """Run units of work on the database of a configuration read before."""

    async def run(store: Store) -> list[T]:
        return [await store.run(work) for work in works]

    return _with_store(setup, run)


def _with_store(setup: Setup, use: Callable[[Store], Awaitable[T]]) -> T:
    url = setup.settings.store.resolved_url
    require_current(url)

    async def opened() -> T:
        store = open_store(url, SystemClock(), seal=audit.seal, threads=1)
        try:
            return await use(store)
        finally:
            await asyncio.to_thread(store.close)

    return asyncio.run(opened())


def rows(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    """Return a query's rows under the plain names of its columns."""
    return [
        {str(key): value for key, value in row.items()}
        for row in connection.execute(statement).mappings()
    ]


def one(connection: Connection, statement: Select[Any], what: str) -> dict[str, Any]:
    """Return the only row of a query.

    Raises:
        NotFound: there is none.

    """
    found = rows(connection, statement)
    if not found:
        text = f"no {what}"
        raise NotFound(text)
    return found[0]
