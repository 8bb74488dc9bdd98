"""One trial of the power-cut test: messages come in, the power goes, what is left?

Replay a seed: ``.venv/bin/python tests/powercut/trial.py SEED [SYNCHRONOUS]``.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import apsw_dbapi
from lossy_disk import Disk
from lossy_vfs import NAME, LossyVfs
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import SingletonThreadPool

from gateway import audit, failpoints, identity
from gateway.errors import StoreError
from gateway.inbox import DiskGate, Inbox
from gateway.model import ChannelId, Item
from gateway.store import Store, schema
from gateway.store.engine import move_log, tune_writer
from gateway.store.units import Engines

CHANNEL = ChannelId("phone")
FILE = "gateway.db"
LAST_CUT = 500
NEVER = 10**9
MOMENTS = ("store.before_commit", "store.after_commit", "inbox.before_acknowledge")

# What must hold of every row that is found, acknowledged or not.
HALVES = {
    "an item without its job": """
        SELECT count(*) FROM inbox
         WHERE (SELECT count(*) FROM job WHERE subject = inbox.id) <> 1""",
    "an item without its event": """
        SELECT count(*) FROM inbox
         WHERE (SELECT count(*) FROM event WHERE subject = inbox.id) <> 1""",
    "an item without its original": """
        SELECT count(*) FROM inbox
         WHERE original_id NOT IN (SELECT id FROM original)""",
    "an original without an item": """
        SELECT count(*) FROM original
         WHERE id NOT IN (SELECT original_id FROM inbox)""",
    "a job without its item": """
        SELECT count(*) FROM job WHERE subject NOT IN (SELECT id FROM inbox)""",
    "an event without its item": """
        SELECT count(*) FROM event WHERE subject NOT IN (SELECT id FROM inbox)""",
}


@dataclass(slots=True)
class Outcome:
    """What one seed did, and what was found afterwards."""

    seed: int
    operations: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


class FrozenClock:
    """Always the same time."""

    def now(self) -> datetime:
        return datetime(2026, 3, 1, 8, 30, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class OneConnection(Store):
    """Reads as it writes: the disk has no shared memory, so nobody else may look.

    One thing at a time, so that a seed replays: reads one by one, and the log moved
    every ``tidy_units`` in the commit, not beside what follows it.
    """

    def __init__(self, engines: Engines, tidy_units: int) -> None:
        super().__init__(engines, FrozenClock(), audit.seal)
        self._tidy_units = tidy_units
        self._since = 0
        self._reading = asyncio.Lock()

    async def read(self, work):
        async with self._reading:
            return await self.run(work)

    def commit(self, group):
        outcomes = super().commit(group)
        self._since += len(group)
        if self._since >= self._tidy_units:
            self._since = 0
            move_log(self._engines.write)
        return outcomes


class Laboratory:
    """Runs trials: our store on a disk that forgets, and what is left of it."""

    def __init__(self, synchronous: str = "FULL") -> None:
        self._vfs = LossyVfs()
        self._pragmas: dict[str, object] = {"locking_mode": "EXCLUSIVE"}
        self.engine = create_engine(
            "sqlite+pysqlite://",
            module=apsw_dbapi,
            creator=lambda: apsw_dbapi.connect(FILE, NAME),
            poolclass=SingletonThreadPool,
        )
        # The VFS has no shared memory: the lock must be exclusive before the WAL is.
        event.listen(self.engine, "connect", self._set_pragmas)
        tune_writer(self.engine, checkpoint_pages=10)
        if synchronous != "FULL":
            self._pragmas["synchronous"] = synchronous
        # Again, and last: SQLAlchemy takes the same listener only once.
        again = partial(self._set_pragmas)
        event.listen(self.engine, "connect", again)
        with self._disk(Disk()) as disk, self.engine.begin() as connection:
            schema.metadata.create_all(connection)
            audit.begin(connection)
        self._empty = {name: bytes(file.live) for name, file in disk.files.items()}

    def _set_pragmas(self, connection: apsw_dbapi.Connection, record: object) -> None:
        for name, value in self._pragmas.items():
            connection.execute(f"PRAGMA {name}={value}")

    @contextmanager
    def _disk(self, disk: Disk) -> Iterator[Disk]:
        """Put ``disk`` in; take it out with its last connection."""
        self._vfs.disk = disk
        try:
            yield disk
        finally:
            self.engine.dispose()

    async def trial(self, seed: int) -> Outcome:
        """Take messages in until the power goes, then look at what is left."""
        chance = random.Random(seed)
        outcome = Outcome(seed)
        self._pragmas["wal_autocheckpoint"] = chance.choice((4, 16, 64))
        cut_at = chance.randrange(1, LAST_CUT)
        with self._disk(Disk(self._empty, cut_at=cut_at)) as disk:
            await self._take_in(disk, chance, outcome)
        outcome.operations = disk.operations
        with self._disk(Disk(disk.after_cut(chance))):
            self._examine(outcome)
        return outcome

    async def _take_in(self, disk: Disk, chance: random.Random, into: Outcome) -> None:
        def cut(point: str) -> None:
            disk.powered = chance.random() < 0.98 and disk.powered

        failpoints.arm(chance.choice(MOMENTS), cut)
        engines = Engines(
            write=self.engine,
            read=self.engine,
            writers=1,
            merge=True,
            close=lambda: None,
        )
        store = OneConnection(engines, tidy_units=chance.choice((1, 8, 32, NEVER)))
        try:
            bodies = messages(chance)
            while disk.powered and disk.operations < LAST_CUT:
                wave = list(itertools.islice(bodies, chance.randrange(1, 9)))
                await _accept_together(store, disk, wave, into)
        finally:
            store.close()
            failpoints.disarm()

    def _examine(self, outcome: Outcome) -> None:
        """Open the database as the next start would, and look for everything."""
        try:
            with self.engine.connect() as connection:
                outcome.damage += _damage(connection)
                found = _found(connection)
        except DBAPIError as error:
            outcome.damage.append(str(error.orig))
            found = {}
        outcome.lost = [
            key
            for key, digest in outcome.acknowledged.items()
            if found.get(key) != digest
        ]


def messages(chance: random.Random) -> Iterator[tuple[bytes, Item]]:
    """Make messages of a few senders; some come again."""
    for number in itertools.count():
        repeated = number and chance.random() < 0.1
        key = chance.randrange(number) if repeated else number
        body = f"{key} ".encode() * random.Random(key).choice((5, 50, 500))
        yield body, Item(external_id=str(key), sender=f"sender{key % 5}", part="")


async def _accept_together(
    store: Store, disk: Disk, wave: list[tuple[bytes, Item]], into: Outcome
) -> None:
    """Accept a wave as one group; note what is acknowledged while there is power."""
    inbox = Inbox(store, DiskGate(Path(), 0, FrozenClock()), lambda queue: None)

    async def accept(body: bytes, item: Item) -> None:
        try:
            await inbox.accept(CHANNEL, body, [item])
        except StoreError:
            return
        if disk.powered:
            into.acknowledged[item.external_id] = hashlib.sha256(body).hexdigest()

    entered, complete = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: Connection) -> None:
        """Keep the database thread until the wave is queued: one seed, one story."""
        loop.call_soon_threadsafe(entered.set)
        complete.wait()

    holding = asyncio.ensure_future(store.run(hold))
    await asyncio.wait(
        {holding, waiting := asyncio.ensure_future(entered.wait())},
        return_when=asyncio.FIRST_COMPLETED,
    )
    accepting = [asyncio.ensure_future(accept(*each)) for each in wave]
    await asyncio.sleep(0)
    complete.set()
    waiting.cancel()
    await asyncio.gather(holding, waiting, *accepting, return_exceptions=True)


def _damage(connection: Connection) -> Iterator[str]:
    """Say all that is wrong with a database."""
    verdict = connection.execute(text("PRAGMA integrity_check")).scalar_one()
    if verdict != "ok":
        yield f"corrupt: {verdict}"
    for what, query in HALVES.items():
        if connection.execute(text(query)).scalar_one():
            yield what
    verification = audit.verify(connection)
    if verification.broken_at is not None:
        yield verification.reason


def _found(connection: Connection) -> dict[str, str]:
    """Return the digest of each stored item's original."""
    rows = connection.execute(
        text(
            "SELECT external_id, body FROM inbox JOIN original"
            " ON original.id = original_id"
        )
    )
    return {row.external_id: hashlib.sha256(row.body).hexdigest() for row in rows}


@contextmanager
def counted_ids() -> Iterator[None]:
    """Make ids that are the same in every run."""
    kept, numbers = identity.new_id, itertools.count()
    identity.new_id = lambda: f"{next(numbers):036d}"
    try:
        yield
    finally:
        identity.new_id = kept


async def run(seeds: range, synchronous: str = "FULL") -> list[Outcome]:
    """Run a trial for each seed."""
    laboratory = Laboratory(synchronous)
    outcomes = []
    for seed in seeds:
        with counted_ids():
            outcomes.append(await laboratory.trial(seed))
    return outcomes


if __name__ == "__main__":
    seed = int(sys.argv[1])
    for outcome in asyncio.run(run(range(seed, seed + 1), *sys.argv[2:])):
        sys.stdout.write(f"{outcome}\n")
