"""The inbound door: stored, deduplicated, on the record, then acknowledged.

``UNIQUE(channel, external_id)`` is the only dedupe, and its rows are for ever.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, delete, select

from gateway import audit, identity, jobs
from gateway.clock import Clock
from gateway.errors import NotFound, StoreFull
from gateway.failpoints import hit
from gateway.model import ChannelId, Event, Inbound, InboxId, Item, ItemKind, Original
from gateway.store import Store, schema
from gateway.store.prepared import Insertion
from gateway.store.units import now

PROCESS: Final = "process"
"""The queue of items that wait to be read and sent on their way."""

_LONGEST_ID: Final = 512


@dataclass(frozen=True, slots=True)
class Arrival:
    """An original with its items, about to be stored."""

    channel: ChannelId
    body: bytes
    headers: Mapping[str, str]
    items: tuple[Item, ...]


class DiskGate:
    """Refuses what there is no room for, before it is accepted (as Postfix does)."""

    def __init__(self, folder: Path, min_free_bytes: int, clock: Clock) -> None:
        """Watch the file system that holds ``folder``."""
        self._folder = folder
        self._min_free = min_free_bytes
        self._clock = clock
        self._checked_at = float("-inf")
        self._free = 0

    def require_room(self) -> None:
        """Return if there is room; the file system is asked once a second.

        Raises:
            StoreFull: less than the configured space is free.

        """
        at = self._clock.monotonic()
        if at - self._checked_at > 1:
            self._free = shutil.disk_usage(self._folder).free
            self._checked_at = at
        if self._free < self._min_free:
            message = f"{self._free} bytes free, {self._min_free} needed"
            raise StoreFull(message)


class Inbox:
    """The inbound door, as channels see it (`gateway.plugin.Intake`)."""

    def __init__(
        self, store: Store, gate: DiskGate, wake: Callable[[str], None]
    ) -> None:
        """Accept into ``store``; call ``wake`` with the queue that has new work."""
        self._store = store
        self._gate = gate
        self._wake = wake
        self.on_accepted: Callable[[ChannelId, int, int], None] = _unobserved

    async def accept(
        self,
        channel: ChannelId,
        body: bytes,
        items: Sequence[Item],
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Store an original and its items; see `gateway.plugin.Intake.accept`."""
        self._gate.require_room()
        arrival = Arrival(channel, body, headers or {}, tuple(items))
        new = await self._store.run_batched(store_arrivals, arrival)
        self.on_accepted(channel, new, len(items) - new)
        self._wake(PROCESS)
        hit("inbox.before_acknowledge")
        return new


def _unobserved(channel: ChannelId, new: int, duplicate: int) -> None:
    del channel, new, duplicate


def store_arrivals(connection: Connection, arrivals: Sequence[Arrival]) -> list[int]:
    """Store originals and items; return how many items of each were new."""
    at = now(connection)
    originals = [
        {
            "id": identity.new_id(),
            "channel": arrival.channel,
            "body": arrival.body,
            "headers": orjson.dumps(dict(arrival.headers)).decode(),
            "salt": os.urandom(16),
            "received_at": at,
        }
        for arrival in arrivals
    ]
    rows = [
        _row(arrival.channel, item, original["id"])
        for arrival, original in zip(arrivals, originals, strict=True)
        for item in arrival.items
    ]
    _INSERT_ORIGINAL.execute(connection, originals)
    new = _insert_new(connection, rows)
    jobs.enqueue(connection, [_job(row) for row in new])
    _record(connection, originals, new)
    _drop_unused(connection, originals, new)
    return _count(originals, new)


def _row(channel: ChannelId, item: Item, original_id: object) -> dict[str, Any]:
    return {
        "id": identity.new_id(),
        "channel": channel,
        "external_id": _storable(item.external_id),
        "kind": item.kind.value,
        "part": _storable(item.part),
        "sender": _storable(item.sender),
        "original_id": original_id,
    }


def _storable(value: str) -> str:
    """Make a foreign id fit an index: PostgreSQL takes no NUL, and no endless keys."""
    if len(value) > _LONGEST_ID:
        value = f"sha256:{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()}"
    return value.replace("\x00", "\ufffd")


def _insert_new(
    connection: Connection, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Insert the rows whose key is new; return these."""
    if not rows:
        return []
    if _INSERT_INBOX.execute(connection, rows) == len(rows):
        return rows
    ids = [row["id"] for row in rows]
    stored = set(
        connection.execute(
            select(schema.inbox.c.id).where(schema.inbox.c.id.in_(ids))
        ).scalars()
    )
    return [row for row in rows if row["id"] in stored]


_INSERT_ORIGINAL = Insertion(schema.original)
_INSERT_INBOX = Insertion(schema.inbox, only_new=True)


def _job(row: dict[str, Any]) -> jobs.NewJob:
    lane = f"{row['channel']}/{row['sender']}"
    return jobs.NewJob(queue=PROCESS, lane=lane, subject=row["id"])


def _record(
    connection: Connection,
    originals: list[dict[str, Any]],
    new: list[dict[str, Any]],
) -> None:
    """Put what was accepted on the record, with the salted digest of its original."""
    digests = {
        original["id"]: hashlib.sha256(original["salt"] + original["body"]).hexdigest()
        for original in originals
    }
    audit.record(
        connection,
        *(
            Event(
                action="inbox.accepted",
                subject=row["id"],
                actor=f"channel:{row['channel']}",
                data={
                    "kind": row["kind"],
                    "original": row["original_id"],
                    "digest": digests[row["original_id"]],
                },
            )
            for row in new
        ),
    )


def _drop_unused(
    connection: Connection,
    originals: list[dict[str, Any]],
    new: list[dict[str, Any]],
) -> None:
    """Forget originals that brought nothing new: we have their items already."""
    used = {row["original_id"] for row in new}
    unused = [each["id"] for each in originals if each["id"] not in used]
    if unused:
        connection.execute(
            delete(schema.original).where(schema.original.c.id.in_(unused))
        )


def _count(originals: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[int]:
    counts = {original["id"]: 0 for original in originals}
    for row in new:
        counts[row["original_id"]] += 1
    return list(counts.values())


_LOAD = select(
    schema.inbox,
    schema.original.c.body,
    schema.original.c.headers,
    schema.original.c.received_at,
).join_from(schema.inbox, schema.original)


def load(connection: Connection, ids: Sequence[str]) -> list[Inbound]:
    """Read stored items back, in the order of ``ids``.

    Raises:
        NotFound: one of them does not exist.

    """
    rows = connection.execute(_LOAD.where(schema.inbox.c.id.in_(ids))).all()
    found = {row.id: _inbound(row) for row in rows}
    try:
        return [found[each] for each in ids]
    except KeyError as missing:
        message = f"no inbound item {missing.args[0]}"
        raise NotFound(message) from None


def _inbound(row: Any) -> Inbound:
    original = Original(
        id=row.original_id,
        channel=ChannelId(row.channel),
        body=row.body,
        headers=orjson.loads(row.headers),
        received_at=row.received_at,
    )
    return Inbound(
        id=InboxId(row.id),
        channel=original.channel,
        external_id=row.external_id,
        kind=ItemKind(row.kind),
        part=row.part,
        sender=row.sender,
        original=original,
    )
