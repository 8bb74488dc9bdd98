"""SQLAlchemy Core's group commit against raw ``sqlite3`` doing the same work.

Both take the same arrivals in groups of 64 and write the same rows to the same schema,
equally durable: original, inbox, job, event and the head of its chain.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
from figures import Figure, compare
from gateway_whatsapp.split import split
from load import NUMBER, webhooks
from sqlalchemy import create_engine
from sqlalchemy.pool import SingletonThreadPool

from gateway import audit, identity
from gateway.clock import SystemClock
from gateway.inbox import PROCESS, Arrival, store_arrivals
from gateway.model import ChannelId
from gateway.store.engine import tune_writer
from gateway.store.migrate import prepare
from gateway.store.schema import to_microseconds

GROUP, GROUPS = 64, 100
HEADERS = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
CHECKPOINT_PAGES = 1000

ORIGINAL = (
    "INSERT INTO original (id, channel, body, headers, salt, received_at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
INBOX = (
    "INSERT INTO inbox (id, channel, external_id, kind, part, sender, original_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
VIRTUAL_TIME = (
    "SELECT min(start) FROM job WHERE queue = ? AND state IN ('ready', 'running')"
)
JOB = """
    INSERT INTO job (queue, lane, subject, start, state, fence, attempts, crashes,
                     created_at)
    SELECT ?1, ?2, ?3,
           CASE WHEN lane.last >= ?4 THEN lane.last + 1 ELSE ?4 END,
           CASE WHEN lane.busy THEN 'queued' ELSE 'ready' END, 0, 0, 0, ?5
      FROM (SELECT (SELECT max(start) FROM job
                     WHERE queue = ?1 AND lane = ?2) AS last,
                   EXISTS (SELECT 1 FROM job
                            WHERE queue = ?1 AND lane = ?2
                              AND state <> 'waiting') AS busy) AS lane
"""
EVENT = (
    "INSERT INTO event (seq, at, action, subject, actor, data, hash)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
HEAD = "SELECT seq, hash FROM chain WHERE id = 1"
MOVE_HEAD = "UPDATE chain SET seq = ?, hash = ? WHERE id = 1"

Commit = Callable[[list[Arrival]], None]


def measure(rounds: int) -> list[Figure]:
    """Commit the same groups by one and the other in turn, each to a new file."""
    groups = _groups()
    ours, raw = [], []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        for number in range(rounds):
            raw.append(_rate(_raw(Path(name) / f"raw{number}.db"), groups))
            ours.append(_rate(_core(Path(name) / f"core{number}.db"), groups))
    return [
        compare(
            "core-vs-sqlite3",
            ours,
            raw,
            unit="messages/s",
            against="raw sqlite3",
            at_least=0.75,
        )
    ]


def _groups() -> list[list[Arrival]]:
    arrivals = [
        Arrival(ChannelId("urp"), body, HEADERS, split(body, NUMBER).items)
        for body in webhooks(GROUP * GROUPS)
    ]
    return [arrivals[n : n + GROUP] for n in range(0, len(arrivals), GROUP)]


def _rate(commit: Commit, groups: list[list[Arrival]]) -> float:
    began = time.perf_counter()
    for group in groups:
        commit(group)
    return GROUP * len(groups) / (time.perf_counter() - began)


def _core(path: Path) -> Commit:
    """Return what the store does in its thread."""
    prepare(f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}", poolclass=SingletonThreadPool)
    tune_writer(engine, checkpoint_pages=CHECKPOINT_PAGES)
    clock = SystemClock()

    def commit(group: list[Arrival]) -> None:
        with engine.connect() as connection:
            connection.info.update(clock=clock, now=None, events=[])
            with connection.begin():
                store_arrivals(connection, group)
                audit.seal(connection)

    return commit


def _raw(path: Path) -> Commit:
    """Return the same by hand."""
    prepare(f"sqlite:///{path}")
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    connection.execute("PRAGMA cache_size=-32768")

    def commit(group: list[Arrival]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        _write(connection, group)
        connection.execute("COMMIT")

    return commit


def _write(connection: sqlite3.Connection, group: list[Arrival]) -> None:
    """Write a group; the load has one item an original, and no repetition."""
    at = datetime.now(UTC)
    stamp, told = to_microseconds(at), at.isoformat(timespec="microseconds")
    originals, items, jobs, events = [], [], [], []
    (virtual,) = connection.execute(VIRTUAL_TIME, [PROCESS]).fetchone()
    seq, head = connection.execute(HEAD).fetchone()
    for channel, body, headers, (item,) in (
        (each.channel, each.body, each.headers, each.items) for each in group
    ):
        original, inbox, salt = identity.new_id(), identity.new_id(), os.urandom(16)
        text = orjson.dumps(headers).decode()
        originals.append((original, channel, body, text, salt, stamp))
        row = (item.kind.value, item.part, item.sender, original)
        items.append((inbox, channel, item.external_id, *row))
        jobs.append((PROCESS, f"{channel}/{item.sender}", inbox, virtual or 0, stamp))
        digest = hashlib.sha256(salt + body).hexdigest()
        said = {"digest": digest, "kind": item.kind.value, "original": original}
        data, actor = orjson.dumps(said).decode(), f"channel:{channel}"
        seq += 1
        words = [seq, told, "inbox.accepted", inbox, actor, data]
        head = hashlib.sha256(head + orjson.dumps(words)).digest()
        events.append((seq, stamp, "inbox.accepted", inbox, actor, data, head))
    connection.executemany(ORIGINAL, originals)
    connection.executemany(INBOX, items)
    connection.executemany(JOB, jobs)
    connection.executemany(EVENT, events)
    connection.execute(MOVE_HEAD, [seq, head])
