"""The work queue: fair order, claim, lease, fence, retry, dead letter.

A job is *queued* behind others of its lane, *ready* at the head of its lane, *running*
under a claim, or *waiting* for a time. Its row is deleted when it is finished. Lanes
keep order (one sender, one conversation); start-time fair queueing (Goyal, Vin & Cheng
1996) shares a queue among lanes: ``start = max(virtual time, last start of the lane +
1)``, lowest first, so a flood in one lane delays the others by one turn.

All functions take lists: many callers share one statement (`Store.run_batched`). Every
write after the claim is guarded by id, fence and state; a claim that no longer holds
raises `StaleClaim`.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)

from gateway import audit, identity
from gateway.errors import StaleClaim
from gateway.model import Event
from gateway.store import schema
from gateway.store.prepared import Insertion, Prepared
from gateway.store.schema import Moment, dead_letter, job
from gateway.store.units import now

QUEUED: Final = "queued"
READY: Final = "ready"
RUNNING: Final = "running"
WAITING: Final = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Work to be done: about ``subject``, in order within ``lane``.

    ``turns`` more than the others of the queue it may have to wait for.
    """

    queue: str
    lane: str
    subject: str
    due_at: datetime | None = None
    turns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job this worker holds until its lease ends.

    ``crashed``: an earlier attempt ended without a word, so its effects are unknown.
    """

    id: int
    fence: int
    queue: str
    lane: str
    subject: str
    attempt: int
    crashes: int
    created_at: datetime

    @property
    def crashed(self) -> bool:
        """Tell whether an earlier attempt ended without a word."""
        return self.crashes > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Ask for at most ``limit`` jobs of ``queue``."""

    queue: str
    owner: str
    limit: int
    lease: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Give a claim back, to be tried again not before ``due_at``.

    ``crashed``: the attempt ended without a word, and costs the job one of its lives.
    """

    claim: Claim
    due_at: datetime
    crashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Burial:
    """Give a claim up: into the dead letters, with a reason."""

    claim: Claim
    code: str
    reason: str


_INSERT = Insertion(
    job,
    (
        *("queue", "lane", "subject", "start", "state", "due_at"),
        *("fence", "attempts", "crashes", "created_at"),
    ),
)
# One row, whatever the number of lanes: each row would hand the interpreter over.
_LANES_TEXT = """
    SELECT {array}(lane, (SELECT max(start) FROM job
                           WHERE queue = :queue AND lane = lanes.lane),
                   EXISTS (SELECT 1 FROM job WHERE queue = :queue
                              AND lane = lanes.lane AND state <> 'waiting')))
      FROM {lanes}
"""
_LANES = {
    dialect: text(_LANES_TEXT.format(array=array, lanes=lanes))
    for dialect, array, lanes in (
        (
            "sqlite",
            "json_group_array(json_array",
            "(SELECT value AS lane FROM json_each(:lanes)) AS lanes",
        ),
        (
            "postgresql",
            "json_agg(json_build_array",
            "json_array_elements_text(CAST(:lanes AS json)) AS lanes(lane)",
        ),
    )
}
# The literals let both databases use the partial index on heads and running jobs.
_VIRTUAL_TIME = text(
    "SELECT min(start) FROM job WHERE queue = :queue AND state IN ('ready', 'running')"
)
_CLAIM_TEXT = """
    UPDATE job
       SET state = 'running', owner = :owner, fence = fence + 1,
           attempts = attempts + 1, lease_until = :until
     WHERE id IN (SELECT id FROM job
                   WHERE queue = :queue AND state IN ('ready', 'running')
                     AND state = 'ready'
                   ORDER BY start, id LIMIT :most {locking})
 RETURNING id, fence, queue, lane, subject, attempts, crashes, created_at
"""
_CLAIM = {
    dialect: text(_CLAIM_TEXT.format(locking=locking))
    .bindparams(bindparam("until", type_=Moment))
    .columns(
        job.c.id,
        job.c.fence,
        job.c.queue,
        job.c.lane,
        job.c.subject,
        job.c.attempts,
        job.c.crashes,
        job.c.created_at,
    )
    for dialect, locking in (("sqlite", ""), ("postgresql", "FOR UPDATE SKIP LOCKED"))
}
# A literal, as above.
_running = job.c.state == literal_column(f"'{RUNNING}'")
_held = and_(
    job.c.id == bindparam("claim_id"),
    job.c.fence == bindparam("claim_fence"),
    job.c.state == RUNNING,
)
_FINISH = Prepared(delete(job).where(_held))
_GIVE_BACK = Prepared(
    update(job)
    .where(_held)
    .values(
        state=WAITING,
        due_at=bindparam("due"),
        owner=None,
        lease_until=None,
        crashes=bindparam("lives_lost"),
    )
)
_PUT_BACK = Prepared(
    update(job).where(_held).values(state=READY, owner=None, lease_until=None)
)
_PROMOTE = Prepared(
    text(
        """
    UPDATE job SET state = 'ready'
     WHERE id = (SELECT id FROM job
                  WHERE queue = :queue AND lane = :lane AND state = 'queued'
                  ORDER BY start, id LIMIT 1)
       AND NOT EXISTS (SELECT 1 FROM job WHERE queue = :queue AND lane = :lane
                          AND state IN ('ready', 'running'))
    """
    )
)
_WAKE = text(
    """
    UPDATE job
       SET due_at = NULL,
           state = CASE WHEN EXISTS (SELECT 1 FROM job
                                      WHERE queue = :queue AND lane = :lane
                                        AND state IN ('ready', 'running'))
                        THEN 'queued' ELSE 'ready' END
     WHERE id = :id AND state = 'waiting'
    """
)
_DUE = (
    select(job.c.id, job.c.queue, job.c.lane)
    .where(job.c.state == WAITING, job.c.due_at <= bindparam("at"))
    .order_by(job.c.due_at)
    .limit(500)
)
_LOCK_LANES = text(
    "SELECT pg_advisory_xact_lock(key) FROM"
    " (SELECT DISTINCT unnest(CAST(:keys AS bigint[])) AS key ORDER BY 1) AS keys"
)


def enqueue(connection: Connection, jobs: Sequence[NewJob]) -> None:
    """Add work, in fair order; a job with a ``due_at`` waits until then."""
    if not jobs:
        return
    _lock_lanes(connection, ((new.queue, new.lane) for new in jobs))
    at = now(connection)
    lanes = {
        key: lane
        for queue in {new.queue for new in jobs}
        for key, lane in _lanes(connection, queue, jobs).items()
    }
    rows = [
        {
            "queue": new.queue,
            "lane": new.lane,
            "subject": new.subject,
            "due_at": new.due_at,
            "fence": 0,
            "attempts": 0,
            "crashes": 0,
            "created_at": at,
            **lanes[new.queue, new.lane].place(new),
        }
        for new in jobs
    ]
    _INSERT.execute(connection, rows)


@dataclass(slots=True)
class _Lane:
    """Where the next job of a lane stands: its start tag, and whether others wait."""

    start: int
    busy: bool

    def place(self, new: NewJob) -> dict[str, Any]:
        """Return the next job's start and state, and move on."""
        start = self.start + new.turns
        self.start = start + 1
        if new.due_at is not None:
            return {"start": start, "state": WAITING}
        state = QUEUED if self.busy else READY
        self.busy = True
        return {"start": start, "state": state}


def _lanes(
    connection: Connection, queue: str, jobs: Sequence[NewJob]
) -> dict[tuple[str, str], _Lane]:
    """Look the lanes of ``jobs`` in ``queue`` up."""
    names = {new.lane for new in jobs if new.queue == queue}
    virtual = virtual_time(connection, queue)
    found = connection.execute(
        _LANES[connection.dialect.name],
        {"queue": queue, "lanes": orjson.dumps(sorted(names)).decode()},
    ).scalar_one()
    rows = orjson.loads(found) if isinstance(found, str) else found
    return {
        (queue, lane): _Lane(
            start=virtual if last is None else max(virtual, last + 1), busy=bool(busy)
        )
        for lane, last, busy in rows
    }


def virtual_time(connection: Connection, queue: str) -> int:
    """Return the fair queue's clock: the lowest start among the heads of its lanes."""
    return connection.execute(_VIRTUAL_TIME, {"queue": queue}).scalar_one() or 0


def claim(
    connection: Connection, requests: Sequence[ClaimRequest]
) -> list[list[Claim]]:
    """Take ready jobs for each request, fairest first."""
    return [_claim(connection, request) for request in requests]


def _claim(connection: Connection, request: ClaimRequest) -> list[Claim]:
    rows = connection.execute(
        _CLAIM[connection.dialect.name],
        {
            "queue": request.queue,
            "most": request.limit,
            "owner": request.owner,
            "until": now(connection) + request.lease,
        },
    )
    claims = [
        Claim(
            id=row.id,
            fence=row.fence,
            queue=row.queue,
            lane=row.lane,
            subject=row.subject,
            attempt=row.attempts,
            crashes=row.crashes,
            created_at=row.created_at,
        )
        for row in rows
    ]
    return sorted(claims, key=lambda claim: claim.id)


def finish(connection: Connection, claims: Sequence[Claim]) -> None:
    """Delete finished jobs and let the next of each lane come forward.

    Raises:
        StaleClaim: one of them is no longer held; nothing may be recorded.

    """
    _guarded(connection, _FINISH, [_key(held) for held in claims])
    promote(connection, ((held.queue, held.lane) for held in claims))


def retry(connection: Connection, retries: Sequence[Retry]) -> None:
    """Put jobs aside until they are due; the next of each lane need not wait.

    Raises:
        StaleClaim: one of them is no longer held; nothing may be recorded.

    """
    rows = [
        {
            **_key(each.claim),
            "due": each.due_at,
            "lives_lost": each.claim.crashes + 1 if each.crashed else 0,
        }
        for each in retries
    ]
    _guarded(connection, _GIVE_BACK, rows)
    promote(connection, ((each.claim.queue, each.claim.lane) for each in retries))


def put_back(connection: Connection, claims: Sequence[Claim]) -> None:
    """Put jobs back where they were, at the head of their lanes: nothing was tried.

    Raises:
        StaleClaim: one of them is no longer held; nothing may be recorded.

    """
    _guarded(connection, _PUT_BACK, [_key(held) for held in claims])


def bury(connection: Connection, burials: Sequence[Burial]) -> None:
    """Move jobs to the dead letters, each with its reason, and on the record.

    Raises:
        StaleClaim: one of them is no longer held; nothing may be recorded.

    """
    finish(connection, [burial.claim for burial in burials])
    at = now(connection)
    rows = [
        {
            "id": identity.new_id(),
            "queue": burial.claim.queue,
            "lane": burial.claim.lane,
            "subject": burial.claim.subject,
            "code": burial.code,
            "reason": burial.reason,
            "attempts": burial.claim.attempt,
            "died_at": at,
        }
        for burial in burials
    ]
    connection.execute(insert(dead_letter), rows)
    audit.record(
        connection,
        *(
            Event(
                action="job.dead",
                subject=str(row["subject"]),
                actor="gateway",
                data={
                    "dead_letter": row["id"],
                    "queue": row["queue"],
                    "code": row["code"],
                },
            )
            for row in rows
        ),
    )


def _key(held: Claim) -> dict[str, Any]:
    return {"claim_id": held.id, "claim_fence": held.fence}


def _guarded(
    connection: Connection, statement: Prepared, rows: list[dict[str, Any]]
) -> None:
    """Execute a guarded write; every claim must still hold."""
    result = statement.execute(connection, rows)
    if result.rowcount != len(rows):
        message = f"{len(rows) - result.rowcount} of {len(rows)} claims are stale"
        raise StaleClaim(message)


def promote(connection: Connection, lanes: Iterable[tuple[str, str]]) -> None:
    """Let the next job of each (queue, lane) come to the head, if it has none."""
    distinct = sorted(set(lanes))
    _lock_lanes(connection, distinct)
    if distinct:
        rows = [{"queue": queue, "lane": lane} for queue, lane in distinct]
        _PROMOTE.execute(connection, rows)


def _lock_lanes(connection: Connection, lanes: Iterable[tuple[str, str]]) -> None:
    """On PostgreSQL, serialise what comes into a lane with what leaves it."""
    if connection.dialect.name != "postgresql":
        return
    keys = [zlib.crc32(f"{queue}\0{lane}".encode()) for queue, lane in lanes]
    connection.execute(_LOCK_LANES, {"keys": keys})


def wake_due(connection: Connection) -> int:
    """Bring forward the jobs whose time has come; return how many."""
    rows = connection.execute(_DUE, {"at": now(connection)}).all()
    _wake(connection, rows)
    return len(rows)


def wake(connection: Connection, subjects: Sequence[str]) -> None:
    """Bring forward the waiting jobs about ``subjects``, whatever their time."""
    rows = connection.execute(
        select(job.c.id, job.c.queue, job.c.lane).where(
            job.c.subject.in_(subjects), job.c.state == WAITING
        )
    ).all()
    _wake(connection, rows)


def _wake(connection: Connection, rows: Sequence[Any]) -> None:
    if not rows:
        return
    _lock_lanes(connection, ((row.queue, row.lane) for row in rows))
    # One by one: two of the same lane must not both become its head.
    for row in rows:
        values = {"id": row.id, "queue": row.queue, "lane": row.lane}
        connection.execute(_WAKE, values)


def cancel(connection: Connection, subject: str) -> int:
    """Delete the open jobs about ``subject``; return how many."""
    gone = connection.execute(
        delete(job).where(job.c.subject == subject).returning(job.c.queue, job.c.lane)
    ).all()
    if gone:
        promote(connection, ((row.queue, row.lane) for row in gone))
    return len(gone)


def take_idle(connection: Connection, subjects: Sequence[str]) -> set[str]:
    """Delete the jobs about ``subjects`` that nobody is at; return whose."""
    gone = connection.execute(
        delete(job)
        .where(job.c.subject.in_(subjects), job.c.state != RUNNING)
        .returning(job.c.queue, job.c.lane, job.c.subject)
    ).all()
    promote(connection, ((row.queue, row.lane) for row in gone))
    return {row.subject for row in gone}


def renew(
    connection: Connection, owner: str, ids: Collection[int], lease: timedelta
) -> set[int]:
    """Prolong the leases of those of the jobs ``ids`` that ``owner`` still runs.

    Only what a live task holds is renewed: a job whose task is gone must run out.
    """
    rows = connection.execute(
        update(job)
        .where(job.c.id.in_(ids), job.c.owner == owner, job.c.state == RUNNING)
        .values(lease_until=now(connection) + lease)
        .returning(job.c.id)
    )
    return set(rows.scalars())


def release(connection: Connection, owner: str) -> int:
    """Give back what ``owner`` still holds, at a graceful stop; return how many."""
    rows = connection.execute(
        update(job)
        .where(job.c.owner == owner, _running)
        .values(
            state=READY,
            owner=None,
            lease_until=None,
            fence=job.c.fence + 1,
            crashes=job.c.crashes + 1,
        )
        .returning(job.c.id)
    )
    return len(rows.all())


def recover(connection: Connection, *, alone_as: str | None = None) -> int:
    """Give back the jobs of workers that are gone; return how many.

    Gone is who let a lease run out; if we are the only process (``alone_as`` our boot
    id), everybody else. Their attempts count as crashes: the effects are unknown.
    """
    gone = job.c.lease_until < now(connection)
    if alone_as is not None:
        gone = or_(gone, job.c.owner != alone_as)
        table = schema.lease
        connection.execute(delete(table).where(table.c.owner != alone_as))
    rows = connection.execute(
        update(job)
        .where(_running, gone)
        .values(
            state=READY,
            owner=None,
            lease_until=None,
            fence=job.c.fence + 1,
            crashes=job.c.crashes + 1,
        )
        .returning(job.c.id)
    )
    return len(rows.all())
