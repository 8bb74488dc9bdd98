"""The audit trail: every state change is an event in a hash chain.

``hash = SHA-256(previous hash || canonical JSON of the event)``. Events carry ids and
salted digests only, so that erasing a person never touches the chain. `record` notes
an event in the running transaction; `seal` chains what was noted just before the
commit, so the single appender is locked for as short as can be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from gateway.errors import NotFound, StoreError
from gateway.model import Event
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now

GENESIS = bytes(32)
"""What stands before the first event."""

_CHAIN_ID = 1
_PAGE = 5_000

_HEAD = (
    select(schema.chain.c.seq, schema.chain.c.hash)
    .where(schema.chain.c.id == _CHAIN_ID)
    .with_for_update()
)
_MOVE_HEAD = (
    update(schema.chain)
    .where(schema.chain.c.id == _CHAIN_ID)
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
)
_INSERT = Insertion(schema.event)


def begin(connection: Connection) -> None:
    """Set the head of an empty chain; each new database has it done once."""
    values = {"id": _CHAIN_ID, "seq": 0, "hash": GENESIS}
    connection.execute(insert(schema.chain), values)


def record(connection: Connection, *events: Event) -> None:
    """Put events on the record, as part of the running transaction."""
    connection.info["events"].extend(events)


def seal(connection: Connection) -> None:
    """Chain the transaction's events; `gateway.store` calls it before each commit."""
    events: list[Event] = connection.info["events"]
    if not events:
        return
    head = connection.execute(_HEAD).one_or_none()
    if head is None:
        message = "the audit trail has no head: see `gateway audit verify`"
        raise StoreError(message)
    rows = list(_chained(events, head.seq, head.hash, now(connection)))
    _INSERT.execute(connection, rows)
    last = rows[-1]
    values = {"new_seq": last["seq"], "new_hash": last["hash"]}
    connection.execute(_MOVE_HEAD, values)


def _chained(
    events: Sequence[Event], seq: int, previous: bytes, at: datetime
) -> Iterator[dict[str, Any]]:
    told = canonical_time(at)
    for number, event in enumerate(events, start=seq + 1):
        data = orjson.dumps(event.data, option=orjson.OPT_SORT_KEYS).decode()
        words = (event.action, event.subject, event.actor, data)
        previous = link(previous, number, told, words)
        yield {
            "seq": number,
            "at": at,
            "action": event.action,
            "subject": event.subject,
            "actor": event.actor,
            "data": data,
            "hash": previous,
        }


def canonical_time(at: datetime) -> str:
    """Return a time as the chain has it: RFC 3339, UTC, microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def link(
    previous: bytes, seq: int, told: str, words: tuple[str, str, str, str]
) -> bytes:
    """Return the hash of an event that follows ``previous``.

    The canonical form is a JSON array: sequence number, time (`canonical_time`) and
    the ``words``: action, subject, actor, data as stored.
    """
    return hashlib.sha256(previous + orjson.dumps([seq, told, *words])).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the verifier found: sound up to ``events``, or broken at ``broken_at``."""

    events: int
    head: str
    broken_at: int | None = None
    reason: str = ""


def verify(
    connection: Connection, *, expected: tuple[int, str] | None = None
) -> Verification:
    """Walk the whole chain.

    ``expected`` is an earlier head (sequence number, hash in hex) kept elsewhere: a
    plain chain can't show that its end was cut off, a kept head does.
    """
    seq, previous = 0, GENESIS
    wanted = dict([expected] if expected else [])
    for row in _walk(connection):
        seq += 1
        if row["seq"] != seq:
            return _broken(seq, previous, f"event {seq} is missing")
        words = (row["action"], row["subject"], row["actor"], row["data"])
        if link(previous, seq, canonical_time(row["at"]), words) != row["hash"]:
            return _broken(seq, previous, f"event {seq} was changed")
        previous = row["hash"]
        if wanted.pop(seq, previous.hex()) != previous.hex():
            return _broken(seq, previous, f"event {seq} is not the one that was kept")
    for kept in wanted:
        return _broken(kept, previous, f"the chain ends at {seq}, before event {kept}")
    return _compare_head(connection, seq, previous)


def _compare_head(connection: Connection, seq: int, last: bytes) -> Verification:
    head = connection.execute(_HEAD).one_or_none()
    if head is None or (head.seq, head.hash) != (seq, last):
        return _broken(seq + 1, last, "the end of the chain is missing")
    return Verification(events=seq, head=last.hex())


def _broken(seq: int, previous: bytes, reason: str) -> Verification:
    return Verification(
        events=seq - 1, head=previous.hex(), broken_at=seq, reason=reason
    )


def _walk(connection: Connection) -> Iterator[dict[str, Any]]:
    """Read all events in order, in pages."""
    after = 0
    while True:
        page = connection.execute(
            select(schema.event)
            .where(schema.event.c.seq > after)
            .order_by(schema.event.c.seq)
            .limit(_PAGE)
        ).mappings()
        rows = [dict(row) for row in page]
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]


def events_of(connection: Connection, subject: str) -> list[dict[str, Any]]:
    """Return the events of one subject, oldest first.

    Raises:
        NotFound: nothing is on record for it.

    """
    found = connection.execute(
        select(schema.event)
        .where(schema.event.c.subject == subject)
        .order_by(schema.event.c.seq)
    ).mappings()
    rows = [{str(name): value for name, value in row.items()} for row in found]
    if not rows:
        message = f"no event about {subject}"
        raise NotFound(message)
    return rows
