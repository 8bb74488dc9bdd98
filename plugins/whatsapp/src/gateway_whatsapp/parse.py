"""A stored item → message or receipt. Pure; raises nothing but `PayloadError`.

Source of the shapes: Meta's published schema (business-messaging-api v23.0) and its
*Webhooks* reference.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.errors import PayloadError, Unreadable
from gateway.model import (
    Address,
    AddressChange,
    DeliveryId,
    Inbound,
    ItemKind,
    Message,
    MessageId,
    Receipt,
    ReceiptStatus,
)
from gateway.payload import Payload
from gateway_whatsapp.content import clean, optional, read_content
from gateway_whatsapp.errors import may_retry
from gateway_whatsapp.people import SCHEME, find_change, find_person, is_bsuid

_LONGEST_NOTE = 500
# Meta repeats a webhook for 7 days; older times are wrong.
_OLDEST = timedelta(days=30)


def parse(inbound: Inbound) -> Message | Receipt | AddressChange:
    """Read a stored item.

    Raises:
        PayloadError: it can't be read; it is kept and shown to staff.

    """
    part = Payload.from_json(inbound.original.body).find(inbound.part)
    if inbound.kind is ItemKind.RECEIPT:
        return read_status(part, inbound.original.received_at)
    return _read_change(inbound, part) or _read_message(inbound, part)


def _read_change(inbound: Inbound, message: Payload) -> AddressChange | None:
    """Read that somebody has another number or user id, if that is what it says."""
    old, new = find_change(message)
    if not (old and new):
        return None
    return AddressChange(
        id=inbound.id,
        channel=inbound.channel,
        old=tuple(Address(SCHEME, each) for each in old),
        new=tuple(Address(SCHEME, each) for each in new),
        stable=is_bsuid(new[0]),
    )


def _read_message(inbound: Inbound, message: Payload) -> Message:
    received_at = inbound.original.received_at
    person = find_person(_enclosing(inbound), message)
    if not person.key:
        raise Unreadable(message.path, "the sender has no usable id")
    return Message(
        id=MessageId(inbound.id),
        channel=inbound.channel,
        external_id=inbound.external_id,
        sender=Address(SCHEME, person.key),
        sender_name=person.name,
        aliases=person.aliases,
        stable=bool(person.bsuid),
        sent_at=_time(message, received_at),
        received_at=received_at,
        references=_references(message),
        **read_content(message),
    )


def _enclosing(inbound: Inbound) -> Payload:
    """Return the ``value`` that a message stands in: it holds the contacts."""
    path, _, _ = inbound.part.rpartition(".messages[")
    return Payload.from_json(inbound.original.body).find(path)


_STATUSES: Final = {
    "sent": ReceiptStatus.SENT,
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.READ,
    "played": ReceiptStatus.READ,
    "failed": ReceiptStatus.FAILED,
}


def read_status(status: Payload, received_at: datetime) -> Receipt:
    """Read one of ``statuses[]``; ``received_at`` stands in for an absurd time.

    Raises:
        PayloadError: no status that we know, or of no message.

    """
    said = status.text("status")
    if said not in _STATUSES:
        status.get("status").refuse("a known status")
    code, text = _reason(status)
    return Receipt(
        status=_STATUSES[said],
        at=_time(status, received_at),
        external_id=clean(status.text("id")),
        delivery_id=_delivery_id(optional(status, "biz_opaque_callback_data")),
        code=code,
        text=text,
        retryable=may_retry(code),
    )


def _reason(status: Payload) -> tuple[str, str]:
    """Return code and text of the first error, if there is one."""
    try:
        errors = status.items_or_none("errors")
        if not errors:
            return "", ""
        code = str(errors[0].integer("code"))
        texts = [optional(errors[0], key) for key in ("message", "title")]
        if errors[0].has("error_data"):
            texts.insert(0, optional(errors[0].get("error_data"), "details"))
    except PayloadError:
        return "unknown", ""
    return code, clean(next(filter(None, texts), ""))[:_LONGEST_NOTE]


def _delivery_id(value: str) -> DeliveryId | None:
    """Return our own id if that is what came back."""
    try:
        return DeliveryId(value) if str(uuid.UUID(value)) == value else None
    except ValueError:
        return None


def _references(message: Payload) -> tuple[str, ...]:
    if not message.has("context"):
        return ()
    answered = clean(optional(message.get("context"), "id"))
    return (answered,) if answered else ()


def _time(part: Payload, received_at: datetime) -> datetime:
    """Read ``timestamp`` (seconds since 1970, as text); absurd ones become now."""
    try:
        at = datetime.fromtimestamp(part.integer("timestamp"), UTC)
    except (PayloadError, ValueError, OverflowError, OSError):
        return received_at
    return at if received_at - _OLDEST <= at <= received_at else received_at
