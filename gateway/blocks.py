"""Who is blocked: their messages are kept, and refused without a word.

It is the contact that is blocked: at each address, on every channel. Where a provider
keeps a list of its own, `gateway.mirroring` brings it into line afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, select

from gateway import audit, jobs
from gateway.errors import NotFound
from gateway.jobs import NewJob
from gateway.model import AttachmentState, ChannelId, Event, Message, MessageState
from gateway.outcome import Outcome
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now

REASON: Final = "the sender is blocked since "
"""How the reason begins for which a blocked contact's message is refused."""

NOTE: Final = "blocked"
"""Why an attachment was not fetched."""

_QUEUE: Final = "block:"
_LIST_PAUSE = timedelta(minutes=1)
_INSERT = Insertion(schema.blocked, only_new=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Since when a contact is blocked, by whom, and why."""

    contact_id: str
    at: datetime
    actor: str
    reason: str


def queue_of(channel: str) -> str:
    """Name the queue of a channel whose provider is to be told who is blocked."""
    return f"{_QUEUE}{channel}"


def channel_of(queue: str) -> str:
    """Return the channel of such a queue."""
    return queue.removeprefix(_QUEUE)


def block(
    connection: Connection,
    contact_id: str,
    reason: str,
    actor: str,
    *,
    mirrors: Collection[ChannelId] = (),
) -> bool:
    """Refuse what a contact says from now on; tell whether that is new.

    ``mirrors`` are the channels whose provider keeps a list too.

    Raises:
        NotFound: there is no such contact.

    """
    _require(connection, contact_id)
    row = {
        "contact_id": contact_id,
        "at": now(connection),
        "actor": actor,
        "reason": reason,
    }
    if not _INSERT.execute(connection, [row]):
        return False
    _changed(connection, "contact.blocked", contact_id, actor)
    mirror(connection, contact_id, mirrors)
    return True


def unblock(
    connection: Connection,
    contact_id: str,
    actor: str,
    *,
    mirrors: Collection[ChannelId] = (),
) -> bool:
    """Take a contact's messages again; tell whether they were refused until now.

    Raises:
        NotFound: there is no such contact.

    """
    _require(connection, contact_id)
    table = schema.blocked
    gone = connection.execute(delete(table).where(table.c.contact_id == contact_id))
    if not gone.rowcount:
        return False
    _changed(connection, "contact.unblocked", contact_id, actor)
    mirror(connection, contact_id, mirrors)
    return True


def is_blocked(connection: Connection, contact_id: str) -> bool:
    """Tell whether a contact's messages are refused."""
    return contact_id in since(connection, [contact_id])


def find(connection: Connection, contact_id: str) -> Block | None:
    """Return a contact's block, if there is one."""
    table = schema.blocked
    row = connection.execute(
        select(table).where(table.c.contact_id == contact_id)
    ).one_or_none()
    return None if row is None else _from_row(row)


def list_(connection: Connection, limit: int) -> list[Block]:
    """Return the blocks, newest first."""
    table = schema.blocked
    rows = connection.execute(
        select(table).order_by(table.c.at.desc(), table.c.contact_id).limit(limit)
    )
    return [_from_row(row) for row in rows]


def _from_row(row: Any) -> Block:
    return Block(
        contact_id=row.contact_id, at=row.at, actor=row.actor, reason=row.reason
    )


def since(connection: Connection, contact_ids: Iterable[str]) -> dict[str, datetime]:
    """Return since when those of the contacts are blocked that are."""
    table = schema.blocked
    rows = connection.execute(
        select(table.c.contact_id, table.c.at).where(
            table.c.contact_id.in_(set(contact_ids))
        )
    )
    return {row.contact_id: row.at for row in rows}


def since_at(connection: Connection, uris: Iterable[str]) -> dict[str, datetime]:
    """Return since when the contacts at some addresses are blocked, if they are."""
    address, table = schema.address, schema.blocked
    rows = connection.execute(
        select(address.c.uri, table.c.at)
        .join(table, table.c.contact_id == address.c.contact_id)
        .where(address.c.uri.in_(set(uris)))
    )
    return {row.uri: row.at for row in rows}


def merge(
    connection: Connection, contact_id: str, merged: Collection[str], actor: str
) -> None:
    """Let the oldest block of the ``merged`` contacts count for what they became."""
    if not merged:
        return
    table = schema.blocked
    rows = connection.execute(
        delete(table).where(table.c.contact_id.in_(merged)).returning(table)
    ).all()
    if not rows:
        return
    oldest = min(map(_from_row, rows), key=lambda each: (each.at, each.contact_id))
    values = {**asdict(oldest), "contact_id": contact_id}
    if _INSERT.execute(connection, [values]):
        _changed(
            connection,
            "contact.blocked",
            contact_id,
            actor,
            **{"from": oldest.contact_id},
        )


def refuse(
    connection: Connection,
    outcomes: Sequence[Outcome],
    contact_ids: Sequence[str],
    mirrors: Collection[ChannelId],
) -> list[Outcome]:
    """Refuse what blocked contacts say, whatever the plugins think of it.

    That it reached us shows that their provider does not know of the block: it is told
    again, now and then.
    """
    blocked = since(connection, contact_ids)
    if not blocked:
        return list(outcomes)
    pairs = list(zip(outcomes, contact_ids, strict=True))
    for channel in mirrors:
        here = {c for o, c in pairs if o.message.channel == channel}
        _remind(connection, channel, here & blocked.keys())
    return [_refused(o, blocked[c]) if c in blocked else o for o, c in pairs]


def _refused(outcome: Outcome, at: datetime) -> Outcome:
    return replace(
        outcome,
        message=without_files(outcome.message),
        state=MessageState.REJECTED,
        reason=reason_of(at),
        blocked=True,
    )


def reason_of(at: datetime) -> str:
    """Say to staff why a message is refused."""
    return f"{REASON}{at:%Y-%m-%d %H:%M} UTC"


def without_files(message: Message) -> Message:
    """Return a message whose attachments nobody fetches."""
    files = tuple(
        replace(each, state=AttachmentState.LOST, note=NOTE)
        if each.state is AttachmentState.PENDING
        else each
        for each in message.attachments
    )
    return replace(message, attachments=files)


def mirror(
    connection: Connection, contact_id: str, mirrors: Collection[ChannelId]
) -> set[str]:
    """Let providers' lists follow; return the queues that have new work."""
    table = schema.conversation
    channels = connection.execute(
        select(table.c.channel).where(
            table.c.channel.in_(mirrors), table.c.contact_id == contact_id
        )
    ).scalars()
    new = [_wish(channel, contact_id) for channel in channels]
    jobs.enqueue(connection, new)
    return {job.queue for job in new}


def follow(
    connection: Connection, contact_id: str | None, mirrors: Collection[ChannelId]
) -> set[str]:
    """Let providers' lists follow a blocked contact to a new address."""
    if contact_id is None or not is_blocked(connection, contact_id):
        return set()
    return mirror(connection, contact_id, mirrors)


def _remind(
    connection: Connection, channel: ChannelId, contacts: Iterable[str]
) -> None:
    """Tell a provider again, unless that is to happen anyway."""
    contact_ids = sorted(contacts)
    job, queue = schema.job, queue_of(channel)
    known = connection.execute(
        select(job.c.subject).where(
            job.c.queue == queue, job.c.subject.in_(contact_ids)
        )
    ).scalars()
    open_, due_at = set(known), now(connection) + _LIST_PAUSE
    new = [_wish(channel, c, due_at) for c in contact_ids if c not in open_]
    jobs.enqueue(connection, new)


def _wish(channel: str, contact_id: str, due_at: datetime | None = None) -> NewJob:
    return NewJob(
        queue=queue_of(channel), lane=contact_id, subject=contact_id, due_at=due_at
    )


def _require(connection: Connection, contact_id: str) -> None:
    table = schema.contact
    found = connection.execute(select(table.c.id).where(table.c.id == contact_id))
    if found.one_or_none() is None:
        message = f"no contact {contact_id}"
        raise NotFound(message)


def _changed(
    connection: Connection, action: str, contact_id: str, actor: str, **data: Any
) -> None:
    event = Event(action=action, subject=contact_id, actor=actor, data=data)
    audit.record(connection, event)
