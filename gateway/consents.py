"""Where citizens agreed to be answered besides the channel on which they write.

A consent is for one address on one channel, and counts only while the address is of the
contact who gave it. What has ended is kept with its dates: it proves what was agreed.
The audit trail names consents by their ids, and no address.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, select, update

from gateway import audit, identity
from gateway.errors import ContactError
from gateway.model import Event
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now

_table = schema.consent
_INSERT = Insertion(_table, only_new=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a contact agrees to: to be answered at ``uri`` by ``channel``.

    ``by`` says who noted it; ``message_id`` are the citizen's words, ``note`` how staff
    know of it.
    """

    contact_id: str
    uri: str
    channel: str
    by: str
    message_id: str | None = None
    note: str = ""


NEVER: Final = datetime.fromtimestamp(0, UTC)
"""When citizens last wrote in a conversation that only an answer of ours opened."""

_WAYS: Final = {"mailto": "e-mail", "pec": "PEC", "whatsapp": "WhatsApp"}


def way_of(uri: str, channel: str) -> str:
    """Return what people call the way to an address; the channel's id if we can't."""
    return _WAYS.get(uri.partition(":")[0], channel)


def give(connection: Connection, agreement: Agreement) -> bool:
    """Note that a contact agrees; tell whether they had not before.

    Raises:
        ContactError: the address is not, or no longer, one of theirs.

    """
    _require_owner(connection, agreement)
    known = connection.execute(
        select(_table)
        .where(
            _table.c.uri == agreement.uri,
            _table.c.channel == agreement.channel,
            _table.c.ended_at.is_(None),
        )
        .with_for_update()
    ).one_or_none()
    if known is not None and known.contact_id == agreement.contact_id:
        return False
    if known is not None:
        end(connection, [known], "gateway")
    row = {
        "id": identity.new_id(),
        "contact_id": agreement.contact_id,
        "uri": agreement.uri,
        "channel": agreement.channel,
        "given_at": now(connection),
        "given_by": agreement.by,
        "message_id": agreement.message_id,
        "note": agreement.note,
        "ended_at": None,
        "ended_by": None,
    }
    if not _INSERT.execute(connection, [row]):
        # Another node was at the same.
        return False
    event = Event(
        action="contact.agreed",
        subject=agreement.contact_id,
        actor=agreement.by,
        data={
            "consent": row["id"],
            "channel": agreement.channel,
            "message": agreement.message_id,
        },
    )
    audit.record(connection, event)
    return True


def _require_owner(connection: Connection, agreement: Agreement) -> None:
    address = schema.address
    owner = connection.execute(
        select(address.c.contact_id).where(address.c.uri == agreement.uri)
    ).scalar_one_or_none()
    if owner != agreement.contact_id:
        text = "the address is not one of this contact's"
        raise ContactError(text)


def of_contact(connection: Connection, contact_id: str) -> list[Any]:
    """Return the rows of what a contact agrees to by now, the latest first.

    Only of addresses that are still theirs.
    """
    address = schema.address
    theirs = and_(
        address.c.uri == _table.c.uri, address.c.contact_id == _table.c.contact_id
    )
    return list(
        connection.execute(
            select(_table)
            .join(address, theirs)
            .where(_table.c.contact_id == contact_id, _table.c.ended_at.is_(None))
            .order_by(_table.c.given_at.desc(), _table.c.id.desc())
        )
    )


def end(
    connection: Connection,
    rows: Sequence[Any],
    by: str,
    message_id: str | None = None,
) -> None:
    """End consents: their contact has withdrawn them, or lost the address."""
    if not rows:
        return
    connection.execute(
        update(_table)
        .where(_table.c.id.in_([row.id for row in rows]))
        .values(ended_at=now(connection), ended_by=by)
    )
    events = [
        Event(
            action="contact.agreement_ended",
            subject=row.contact_id,
            actor=by,
            data={"consent": row.id, "channel": row.channel, "message": message_id},
        )
        for row in rows
    ]
    audit.record(connection, *events)


def lose(connection: Connection, uris: Collection[str], by: str) -> None:
    """End what was agreed to for addresses that are no longer their contact's."""
    rows = connection.execute(
        select(_table).where(_table.c.uri.in_(uris), _table.c.ended_at.is_(None))
    ).all()
    end(connection, rows, by)


def erase(connection: Connection, contact_ids: Collection[str]) -> int:
    """Erase all that contacts ever agreed to; return how many consents that were."""
    gone = connection.execute(
        delete(_table).where(_table.c.contact_id.in_(contact_ids))
    )
    return gone.rowcount


def merge(connection: Connection, contact_id: str, merged: Collection[str]) -> None:
    """Let what merged contacts agreed to go with their addresses to ``contact_id``."""
    if merged:
        connection.execute(
            update(_table)
            .where(_table.c.contact_id.in_(merged))
            .values(contact_id=contact_id)
        )
