"""Messages at rest: how a message and its attachments become rows, and come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from gateway import identity
from gateway.errors import NotFound
from gateway.model import (
    Address,
    Amendment,
    Attachment,
    AttachmentState,
    Author,
    ChannelId,
    Direction,
    Location,
    Menu,
    Message,
    MessageId,
    MessageState,
    Option,
    Order,
)
from gateway.store import schema
from gateway.store.prepared import Insertion

_COLUMNS = tuple(field.name for field in fields(Attachment) if field.name != "state")


_INSERT = Insertion(schema.message)
_INSERT_ATTACHMENT = Insertion(schema.attachment)


def to_body(message: Message) -> str:
    """Return what a message says as JSON; attachments have rows of their own."""
    return orjson.dumps(
        {
            "sender": str(message.sender),
            "sender_name": message.sender_name,
            "aliases": [str(alias) for alias in message.aliases],
            "text": message.text,
            "choice": message.choice,
            "amends": message.amends,
            "amendment": message.amendment,
            "location": message.location,
            "references": message.references,
            "subject": message.subject,
            "order": message.order,
            "office": message.office,
            "classification": message.classification,
            "authentic": message.authentic,
            "automatic": message.automatic,
            "flags": message.flags,
            "sent_at": message.sent_at,
        }
    ).decode()


def from_row(row: Any, attachments: Sequence[Attachment] = ()) -> Message:
    """Return the message of a row of the table `message`."""
    body: Mapping[str, Any] = orjson.loads(row.body)
    location, amendment = body.get("location"), body.get("amendment")
    order = body.get("order")
    return Message(
        id=MessageId(row.id),
        channel=ChannelId(row.channel),
        external_id=row.external_id,
        sender=Address.parse(body["sender"]),
        sender_name=body["sender_name"],
        aliases=tuple(Address.parse(alias) for alias in body["aliases"]),
        text=body["text"],
        menu=_menu(body.get("menu")),
        choice=body.get("choice", ""),
        amends=body.get("amends", ""),
        amendment=Amendment(amendment) if amendment else None,
        attachments=tuple(attachments),
        location=Location(**location) if location else None,
        references=tuple(body["references"]),
        subject=body.get("subject", ""),
        order=Order(order) if order else None,
        office=body.get("office", ""),
        classification=body.get("classification", ""),
        authentic=body.get("authentic"),
        automatic=body["automatic"],
        flags=tuple(body["flags"]),
        sent_at=datetime.fromisoformat(body["sent_at"]),
        received_at=row.created_at,
    )


def _menu(body: Mapping[str, Any] | None) -> Menu | None:
    if body is None:
        return None
    options = tuple(Option(**option) for option in body["options"])
    return Menu(options=options, label=body["label"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What we say on a channel, in which conversation and case."""

    channel: str
    text: str = ""
    menu: Menu | None = None
    location: Location | None = None
    conversation_id: str
    case_id: str | None
    references: tuple[str, ...] = ()


def outbound_row(said: Said, at: datetime) -> dict[str, Any]:
    """Return the row of a message of our own, said at the time ``at``."""
    body = {
        "sender": "gateway:self",
        "sender_name": "",
        "aliases": (),
        "text": said.text,
        "menu": said.menu,
        "location": said.location,
        "references": said.references,
        "automatic": True,
        "flags": (),
        "sent_at": at,
    }
    return {
        "id": identity.new_id(),
        "direction": Direction.OUT.value,
        "author": Author.GATEWAY.value,
        "state": MessageState.PROCESSED.value,
        "reason": "",
        "channel": said.channel,
        "external_id": "",
        "conversation_id": said.conversation_id,
        "case_id": said.case_id,
        "body": orjson.dumps(body).decode(),
        "created_at": at,
    }


def inbound_row(  # noqa: PLR0913 (one value a column)
    message: Message,
    *,
    author: Author,
    state: MessageState,
    reason: str = "",
    conversation_id: str | None = None,
    case_id: str | None = None,
) -> dict[str, Any]:
    """Return the row of an inbound message."""
    return {
        "id": message.id,
        "direction": Direction.IN.value,
        "author": author.value,
        "state": state.value,
        "reason": reason,
        "channel": message.channel,
        "external_id": message.external_id,
        "conversation_id": conversation_id,
        "case_id": case_id,
        "body": to_body(message),
        "created_at": message.received_at,
    }


def attachment_rows(message: Message) -> list[dict[str, Any]]:
    """Return the rows of a message's attachments."""
    return [
        {
            "message_id": message.id,
            "position": position,
            "state": attachment.state.value,
            **{name: getattr(attachment, name) for name in _COLUMNS},
        }
        for position, attachment in enumerate(message.attachments)
    ]


def store(
    connection: Connection, rows: list[dict[str, Any]], said: Sequence[Message] = ()
) -> None:
    """Insert message rows, and the attachments of the messages ``said``."""
    if rows:
        _INSERT.execute(connection, rows)
    files = [row for message in said for row in attachment_rows(message)]
    if files:
        _INSERT_ATTACHMENT.execute(connection, files)


def load(connection: Connection, ids: Sequence[str]) -> dict[str, Message]:
    """Return the messages of ``ids`` with their attachments.

    Raises:
        NotFound: one of them does not exist.

    """
    if not ids:
        return {}
    files = load_attachments(connection, ids)
    rows = connection.execute(
        select(schema.message).where(schema.message.c.id.in_(ids))
    )
    found = {row.id: from_row(row, files.get(row.id, ())) for row in rows}
    missing = set(ids) - set(found)
    if missing:
        message = f"no message {min(missing)}"
        raise NotFound(message)
    return found


def load_attachments(
    connection: Connection, ids: Sequence[str]
) -> dict[str, list[Attachment]]:
    """Return the attachments of messages, in their order."""
    found: dict[str, list[Attachment]] = {}
    rows = connection.execute(
        select(schema.attachment)
        .where(schema.attachment.c.message_id.in_(ids))
        .order_by(schema.attachment.c.message_id, schema.attachment.c.position)
    )
    for row in rows:
        found.setdefault(row.message_id, []).append(
            Attachment(
                state=AttachmentState(row.state),
                **{name: getattr(row, name) for name in _COLUMNS},
            )
        )
    return found


def update_attachment(
    connection: Connection, message_id: str, position: int, attachment: Attachment
) -> None:
    """Record what became of an attachment."""
    table = schema.attachment
    connection.execute(
        update(table)
        .where(table.c.message_id == message_id, table.c.position == position)
        .values(
            state=attachment.state.value,
            **{name: getattr(attachment, name) for name in _COLUMNS},
        )
    )
