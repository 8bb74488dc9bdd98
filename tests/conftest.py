"""A store on each database: the same tests run on both."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway import audit
from gateway.clock import SystemClock
from gateway.store import Store, open_store
from gateway.store.migrate import upgrade


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def migrated(store_url: str) -> str:
    """The URL of a database with our schema."""
    upgrade(store_url)
    return store_url


@pytest.fixture
async def store(migrated: str) -> AsyncIterator[Store]:
    """A store with our schema."""
    opened = open_store(migrated, SystemClock(), seal=audit.seal)
    yield opened
    opened.close()


@pytest.fixture
def chance() -> Callable[[], random.Random]:
    """Seeded randomness."""
    return lambda: random.Random(2026)
