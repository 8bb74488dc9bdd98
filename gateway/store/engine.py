"""Connections: what makes SQLite and PostgreSQL keep the promises."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.store.units import Engines, Store

_PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "trusted_schema": "OFF",
    "cell_size_check": "ON",
    "busy_timeout": "5000",
    "cache_size": "-32768",
    "temp_store": "MEMORY",
}
_CACHED_STATEMENTS = 512
_CHECKPOINT_PAGES = 4000
_JOURNAL_LIMIT = 64 * 1024 * 1024


def open_store(
    url: str,
    clock: Clock,
    *,
    seal: Callable[[Connection], None],
    threads: int = 4,
    exclusive: bool = False,
) -> Store:
    """Open the database at ``url`` (``sqlite:///path`` or ``postgresql://…``).

    ``exclusive`` is for the daemon: the one process that checkpoints an SQLite file.

    Raises:
        StoreError: another daemon has the file, or the URL names no database we know.

    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Store(_sqlite(parsed, exclusive=exclusive), clock, seal)
    if parsed.get_backend_name() == "postgresql":
        return Store(_postgresql(parsed, threads), clock, seal)
    message = f"store: {parsed.drivername} is not supported; use sqlite or postgresql"
    raise StoreError(message)


def _sqlite(url: URL, *, exclusive: bool) -> Engines:
    """One thread owns the one connection that writes and checkpoints.

    SQLite 3.7.0 to 3.51.2 can corrupt a WAL database if two connections checkpoint
    at once (fixed in 3.51.3): so readers are read-only, and a second process (a
    command beside the daemon) never checkpoints.
    """
    path = Path(url.database or "").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(path) if exclusive else None
    checkpoint = _CHECKPOINT_PAGES if exclusive else 0
    write = create_engine(
        f"sqlite:///{path}",
        poolclass=SingletonThreadPool,
        connect_args={"cached_statements": _CACHED_STATEMENTS},
    )
    tune_writer(write, checkpoint_pages=checkpoint)
    read = create_engine(
        f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=QueuePool, pool_size=4
    )
    event.listen(read, "connect", _on_read_connect)

    def close() -> None:
        read.dispose()
        write.dispose()
        if lock is not None:
            lock.close()

    return Engines(
        write=write,
        read=read,
        writers=1,
        merge=True,
        close=close,
        tidy=move_log if exclusive else None,
    )


def move_log(engine: Engine) -> None:
    """Move what SQLite's log holds into the database file (a passive checkpoint).

    By itself SQLite does so inside a commit, while the callers wait. What a reader
    still needs stays for the next time; whatever fails here fails at a commit, too,
    and is told there.
    """
    failed = engine.dialect.loaded_dbapi.Error
    with contextlib.suppress(failed), engine.connect() as connection:
        # Past SQLAlchemy, which would begin a transaction.
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def tune_writer(engine: Engine, *, checkpoint_pages: int) -> None:
    """Make ``engine`` write SQLite as the promises need it.

    A checkpoint is due every ``checkpoint_pages`` pages; 0 leaves it to others.
    """
    event.listen(engine, "connect", _on_connect(checkpoint_pages))
    event.listen(engine, "begin", _begin_immediate)


def _lock(path: Path) -> TextIO:
    """Hold the database for this process, or say who does."""
    handle = path.with_name(path.name + ".lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        message = f"{path}: another gateway (process {owner}) is running on it"
        raise StoreError(message) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def _on_connect(checkpoint: int) -> Callable[[sqlite3.Connection, Any], None]:
    def configure(connection: sqlite3.Connection, record: Any) -> None:
        del record
        # SQLAlchemy's "begin" event opens transactions, not the driver.
        connection.isolation_level = None
        for name, value in _PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}")
        connection.execute(f"PRAGMA wal_autocheckpoint={checkpoint}")
        connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_LIMIT}")

    return configure


def _on_read_connect(connection: sqlite3.Connection, record: Any) -> None:
    del record
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA wal_autocheckpoint=0")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql(url: URL, threads: int) -> Engines:
    """A small pool of threads, each with its own connection."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=threads + 4,
        max_overflow=0,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={
            "connect_timeout": 5,
            "application_name": "municipal-gateway",
            "options": "-c statement_timeout=30s"
            " -c idle_in_transaction_session_timeout=60s"
            " -c synchronous_commit=on -c timezone=UTC",
        },
    )
    return Engines(
        write=engine, read=engine, writers=threads, merge=False, close=engine.dispose
    )


def migration_engine(url: str) -> Engine:
    """Make an engine for migrations: one connection, no pool, DDL in transactions."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "").absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        tune_writer(engine, checkpoint_pages=0)
        return engine
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={"connect_timeout": 5},
    )
