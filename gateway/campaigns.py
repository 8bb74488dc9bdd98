"""One notice to many citizens, behind everything that somebody waits for.

Who gets it has written to that channel before: a campaign reaches nobody else. The
same text reaches each of them once: a campaign that was broken off can be run again.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from gateway import audit, messages, outbox
from gateway.consents import NEVER
from gateway.messages import Said
from gateway.model import ChannelId, Event
from gateway.outbox import NewDelivery
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now
from gateway.targets import CHANNEL

BATCH = 200
"""Notices of one unit of work."""

_NAMESPACE = uuid.UUID("5f0d6c4e-9a39-4b5e-8c67-3f0a1d9c2b84")
_INSERT_ONCE = Insertion(schema.message, only_new=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What is said on which channel."""

    channel: ChannelId
    text: str

    def notice_id(self, conversation_id: str) -> str:
        """Return what one citizen's notice is always called: it is made once."""
        name = f"{self.channel}\0{self.text}\0{conversation_id}"
        return str(uuid.uuid5(_NAMESPACE, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Whom a campaign reaches; ``skipped`` have never written there, or are blocked."""

    conversations: tuple[str, ...]
    skipped: tuple[str, ...]


def find_readers(
    connection: Connection, channel: ChannelId, uris: Collection[str]
) -> Readers:
    """Find the conversations of addresses (``whatsapp:39…``) on a channel."""
    every = sorted(set(uris))
    known: dict[str, str] = {}
    for start in range(0, len(every), BATCH):
        some = every[start : start + BATCH]
        known |= _conversations(connection, channel, some)
    return Readers(
        conversations=tuple(sorted(set(known.values()))),
        skipped=tuple(uri for uri in every if uri not in known),
    )


def _conversations(
    connection: Connection, channel: ChannelId, uris: Sequence[str]
) -> dict[str, str]:
    address, conversation = schema.address, schema.conversation
    blocked = schema.blocked
    rows = connection.execute(
        select(address.c.uri, conversation.c.id)
        .join(conversation, conversation.c.contact_id == address.c.contact_id)
        .outerjoin(blocked, blocked.c.contact_id == address.c.contact_id)
        .where(
            address.c.uri.in_(uris),
            conversation.c.channel == channel,
            blocked.c.contact_id.is_(None),
            conversation.c.last_inbound_at > NEVER,
        )
    )
    return {row.uri: row.id for row in rows}


def announce(
    connection: Connection,
    campaign: Campaign,
    readers: Sequence[str],
    *,
    before: int,
    actor: str,
) -> int:
    """Enqueue notices to conversations, ``before`` of the campaign being ahead of them.

    Returns how many are new.
    """
    at = now(connection)
    people = _reply_to(connection, readers)
    said = [
        {
            **messages.outbound_row(_said(campaign, each), at),
            "id": campaign.notice_id(each),
        }
        for each in readers
    ]
    new = _INSERT_ONCE.execute(connection, said)
    deliveries = [
        NewDelivery(
            message_id=row["id"],
            target=f"{CHANNEL}:{campaign.channel}",
            purpose=outbox.CAMPAIGN,
            recipient=people[conversation_id],
            # Lanes of their own, and one turn each: an answer never waits behind one.
            lane=f"campaign/{conversation_id}",
            turns=before + number,
        )
        for number, (row, conversation_id) in enumerate(zip(said, readers, strict=True))
    ]
    outbox.enqueue(connection, deliveries)
    event = Event(
        action="campaign.announced",
        subject=campaign.channel,
        actor=actor,
        data={"notices": [row["id"] for row in said], "new": new},
    )
    audit.record(connection, event)
    return new


def _said(campaign: Campaign, conversation_id: str) -> Said:
    return Said(
        channel=campaign.channel,
        text=campaign.text,
        conversation_id=conversation_id,
        case_id=None,
    )


def _reply_to(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    table = schema.conversation
    rows = connection.execute(
        select(table.c.id, table.c.reply_to).where(table.c.id.in_(ids))
    )
    return {row.id: row.reply_to for row in rows}
