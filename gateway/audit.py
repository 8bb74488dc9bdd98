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

from gateway.errors import NotFound
from gateway.model import Event
from gateway.store import schema
from gateway.store.prepared import insert_into
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
_INSERT_HEAD = insert(schema.chain)
_MOVE_HEAD = (
    update(schema.chain)
    .where(schema.chain.c.id == _CHAIN_ID)
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
)
_INSERT = insert_into(schema.event)


def record(connection: Connection, *events: Event) -> None:
    """Put events on the record, as part of the running transaction."""
    connection.info["events"].extend(events)


def seal(connection: Connection) -> None:
    """Chain the transaction's events; `gateway.store` calls it before each commit."""
    events: list[Event] = connection.info["events"]
    if not events:
        return
    head = connection.execute(_HEAD).one_or_none()
    seq, previous = (head.seq, head.hash) if head else (0, GENESIS)
    rows = list(_chained(events, seq, previous, now(connection)))
    _INSERT.execute(connection, rows)
    last = rows[-1]
    if head is None:
        values = {"id": _CHAIN_ID, "seq": last["seq"], "hash": last["hash"]}
        connection.execute(_INSERT_HEAD, values)
    else:
        values = {"new_seq": last["seq"], "new_hash": last["hash"]}
        connection.execute(_MOVE_HEAD, values)


def _chained(
    events: Sequence[Event], seq: int, previous: bytes, at: datetime
) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(events, start=seq + 1):
        data = orjson.dumps(event.data, option=orjson.OPT_SORT_KEYS).decode()
        row: dict[str, Any] = {
            "seq": number,
            "at": at,
            "action": event.action,
            "subject": event.subject,
            "actor": event.actor,
            "data": data,
        }
        previous = link(previous, row)
        yield {**row, "hash": previous}


def link(previous: bytes, row: dict[str, Any]) -> bytes:
    """Return the hash of an event that follows ``previous``.

    The canonical form is a JSON array: sequence number, time (RFC 3339, UTC,
    microseconds), action, subject, actor, data as stored.
    """
    canonical = orjson.dumps(
        [
            row["seq"],
            row["at"].astimezone(UTC).isoformat(timespec="microseconds"),
            row["action"],
            row["subject"],
            row["actor"],
            row["data"],
        ]
    )
    return hashlib.sha256(previous + canonical).digest()


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
        if link(previous, row) != row["hash"]:
            return _broken(seq, previous, f"event {seq} was changed")
        previous = row["hash"]
        if wanted.pop(seq, previous.hex()) != previous.hex():
            return _broken(seq, previous, f"event {seq} is not the one that was kept")
    for kept in wanted:
        return _broken(kept, previous, f"the chain ends at {seq}, before event {kept}")
    return _compare_head(connection, seq, previous)


def _compare_head(connection: Connection, seq: int, last: bytes) -> Verification:
    head = connection.execute(_HEAD).one_or_none()
    if (head.seq, head.hash) != (seq, last) if head else seq != 0:
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
    rows = [dict(row) for row in found]
    if not rows:
        message = f"no event about {subject}"
        raise NotFound(message)
    return rows
