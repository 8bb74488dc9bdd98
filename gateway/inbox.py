"""The inbound door: stored, deduplicated, on the record, then acknowledged.

``UNIQUE(channel, external_id)`` is the only dedupe, and its rows are for ever. Other
content under a known id is kept beside the first, flagged, and never processed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import orjson
import structlog
from sqlalchemy import Connection, delete, select

from gateway import audit, identity, jobs
from gateway.clock import Clock
from gateway.errors import NotFound, StoreFull
from gateway.failpoints import hit
from gateway.model import (
    ChannelId,
    Event,
    Inbound,
    InboxId,
    Item,
    ItemKind,
    Original,
)
from gateway.store import Store, schema
from gateway.store.prepared import Insertion
from gateway.store.units import now

log = structlog.get_logger()

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
        self.on_conflict: Callable[[ChannelId], None] = _unobserved
        self.read: Callable[[Inbound], Awaitable[object]] = _unreadable
        """How a channel reads an item; without it, each other body is a conflict."""

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
        await self._stored(channel, [arrival], [new])
        return new

    async def accept_each(
        self, channel: ChannelId, originals: Sequence[tuple[bytes, Item]]
    ) -> int:
        """Store many originals; see `gateway.plugin.Intake.accept_each`."""
        self._gate.require_room()
        arrivals = [Arrival(channel, body, {}, (item,)) for body, item in originals]
        new = await self._store.run_each(store_arrivals, arrivals)
        await self._stored(channel, arrivals, new)
        return sum(new)

    async def _stored(
        self, channel: ChannelId, arrivals: Sequence[Arrival], new: Sequence[int]
    ) -> None:
        """Tell of what is stored by now, and look at what was known before."""
        items = sum(len(arrival.items) for arrival in arrivals)
        self.on_accepted(channel, sum(new), items - sum(new))
        self._wake(PROCESS)
        for arrival, count in zip(arrivals, new, strict=True):
            if count < len(arrival.items):
                await self._keep_conflicts(arrival)
        hit("inbox.before_acknowledge")

    async def _keep_conflicts(self, arrival: Arrival) -> None:
        """Keep what came under a known id and says something else; tell of it.

        The same body is the same content. Of another body, only the item itself is
        compared: a provider repeats an item among others than the first time. An item
        that is its whole original differs by a single byte; of a part of a batch
        counts what its channel reads, and what can't be read is like nothing else.
        A receipt's id is made of what it says, so only messages are compared.

        Outside of the first transaction, because it asks the channel, and before the
        acknowledgement: if it fails, the provider comes again.
        """
        others = await self._store.read(partial(find_others, arrival=arrival))
        for inbox_id, item in others:
            (stored,) = await self._store.read(partial(load, ids=[inbox_id]))
            again = _again(stored, item, arrival)
            if not await self._differ(stored, again):
                continue
            if await self._store.run(partial(keep_other, again=again)):
                log.warning("inbox_conflict", channel=again.channel, item=again.id)
                self.on_conflict(again.channel)

    async def _differ(self, stored: Inbound, again: Inbound) -> bool:
        """Tell whether two items from different bodies say different things."""
        if not (stored.part or again.part):
            return True
        try:
            return await self.read(stored) != await self.read(again)
        except Exception:  # noqa: BLE001 (plugin code; we keep what it can't read)
            return True


def _unobserved(*seen: object) -> None:
    del seen


async def _unreadable(inbound: Inbound) -> NoReturn:
    raise NotImplementedError(inbound.id)


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
        original["id"]: _digest(original["salt"], original["body"])
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


def _digest(salt: bytes, body: bytes) -> str:
    return hashlib.sha256(salt + body).hexdigest()


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


def find_others(connection: Connection, arrival: Arrival) -> list[tuple[InboxId, Item]]:
    """Find the messages that ``arrival`` brings again in a body unlike the first."""
    items = {
        _storable(item.external_id): item
        for item in arrival.items
        if item.kind is ItemKind.MESSAGE
    }
    table = schema.inbox
    rows = connection.execute(
        select(table.c.id, table.c.external_id)
        .join(schema.original)
        .where(
            table.c.channel == arrival.channel,
            table.c.external_id.in_(list(items)),
            schema.original.c.body != arrival.body,
        )
    )
    return [(InboxId(row.id), items[row.external_id]) for row in rows]


def _again(stored: Inbound, item: Item, arrival: Arrival) -> Inbound:
    """Return what came again, in all but its content the item we have."""
    original = replace(stored.original, body=arrival.body, headers=arrival.headers)
    part, sender = _storable(item.part), _storable(item.sender)
    return replace(stored, kind=item.kind, part=part, sender=sender, original=original)


_INSERT_OTHER = Insertion(schema.original, only_new=True)


def keep_other(connection: Connection, again: Inbound) -> bool:
    """Keep another original of a stored item, on the record; False if we have it.

    Its id is derived from the item and the content, so a repetition finds it there. It
    shares the first one's salt: without that, nothing on record tells the content.
    """
    salt = connection.execute(
        select(schema.original.c.salt)
        .join(schema.inbox)
        .where(schema.inbox.c.id == again.id)
    ).scalar_one()
    digest = _digest(salt, again.original.body)
    original_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{again.id} {digest}"))
    row = {
        "id": original_id,
        "channel": again.channel,
        "body": again.original.body,
        "headers": orjson.dumps(dict(again.original.headers)).decode(),
        "salt": salt,
        "received_at": now(connection),
    }
    if _INSERT_OTHER.execute(connection, [row]) == 0:
        return False
    event = Event(
        action="inbox.conflict",
        subject=again.id,
        actor=f"channel:{again.channel}",
        data={"original": original_id, "digest": digest},
    )
    audit.record(connection, event)
    return True


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
