"""A stored item → message or receipt. Pure; raises nothing but `PayloadError`.

Source of the shapes: Meta's published schema (business-messaging-api v23.0) and its
*Webhooks* reference.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict

from gateway.errors import PayloadError, Unreadable
from gateway.model import (
    Address,
    Attachment,
    DeliveryId,
    Inbound,
    ItemKind,
    Location,
    Message,
    MessageId,
    Receipt,
    ReceiptStatus,
)
from gateway.payload import Payload
from gateway_whatsapp.people import SCHEME, find_person

MEDIA_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""What a media id looks like: it becomes part of an address."""

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
_TYPE = re.compile(r"[a-z_]{1,64}")
_SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SHA256_BYTES = 32
_LONGEST_NOTE = 500
# Meta repeats a webhook for 7 days; older times are wrong.
_OLDEST = timedelta(days=30)


class Content(TypedDict, total=False):
    """The fields of a `Message` that depend on its type."""

    text: str
    attachments: tuple[Attachment, ...]
    location: Location
    flags: tuple[str, ...]


def parse(inbound: Inbound) -> Message | Receipt:
    """Read a stored item.

    Raises:
        PayloadError: it can't be read; it is kept and shown to staff.

    """
    part = Payload.from_json(inbound.original.body).find(inbound.part)
    if inbound.kind is ItemKind.RECEIPT:
        return read_status(part, inbound.original.received_at)
    return _read_message(inbound, part)


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
        sent_at=_time(message, received_at),
        received_at=received_at,
        references=_references(message),
        **_content(message),
    )


def _enclosing(inbound: Inbound) -> Payload:
    """Return the ``value`` that a message stands in: it holds the contacts."""
    path, _, _ = inbound.part.rpartition(".messages[")
    return Payload.from_json(inbound.original.body).find(path)


def _content(message: Payload) -> Content:
    kind = _optional(message, "type")
    read = READERS.get(kind)
    if read is None:
        known = kind if _TYPE.fullmatch(kind) else "unknown"
        return Content(flags=(f"unsupported:{known}",))
    return read(message.get(kind))


def _read_text(body: Payload) -> Content:
    return Content(text=_clean(body.text("body")))


def _read_media(body: Payload) -> Content:
    """Read image, audio, voice, video, document or sticker."""
    media_id = body.text("id")
    if not MEDIA_ID.fullmatch(media_id):
        body.get("id").refuse("a media id")
    attachment = Attachment(
        media_type=_media_type(_optional(body, "mime_type")),
        locator=media_id,
        name=_clean(_optional(body, "filename")),
        digest=_digest(_optional(body, "sha256")),
        voice=body.value.get("voice") is True,
    )
    text = _clean(_optional(body, "caption"))
    return Content(text=text, attachments=(attachment,))


def _read_location(body: Payload) -> Content:
    location = Location(
        latitude=_degrees(body, "latitude", 90),
        longitude=_degrees(body, "longitude", 180),
        name=_clean(_optional(body, "name")),
        address=_clean(_optional(body, "address")),
    )
    return Content(location=location)


READERS: Final[dict[str, Callable[[Payload], Content]]] = {
    "text": _read_text,
    "image": _read_media,
    "audio": _read_media,
    "video": _read_media,
    "document": _read_media,
    "sticker": _read_media,
    "location": _read_location,
}
"""What reads which type; any other is kept, flagged ``unsupported:<type>``."""

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
        external_id=_clean(status.text("id")),
        delivery_id=_delivery_id(_optional(status, "biz_opaque_callback_data")),
        code=code,
        text=text,
    )


def _reason(status: Payload) -> tuple[str, str]:
    """Return code and text of the first error, if there is one."""
    try:
        errors = status.items_or_none("errors")
        if not errors:
            return "", ""
        code = str(errors[0].integer("code"))
        texts = [_optional(errors[0], key) for key in ("message", "title")]
        if errors[0].has("error_data"):
            texts.insert(0, _optional(errors[0].get("error_data"), "details"))
    except PayloadError:
        return "unknown", ""
    return code, _clean(next(filter(None, texts), ""))[:_LONGEST_NOTE]


def _delivery_id(value: str) -> DeliveryId | None:
    """Return our own id if that is what came back."""
    try:
        return DeliveryId(value) if str(uuid.UUID(value)) == value else None
    except ValueError:
        return None


def _references(message: Payload) -> tuple[str, ...]:
    if not message.has("context"):
        return ()
    answered = _clean(_optional(message.get("context"), "id"))
    return (answered,) if answered else ()


def _time(part: Payload, received_at: datetime) -> datetime:
    """Read ``timestamp`` (seconds since 1970, as text); absurd ones become now."""
    try:
        at = datetime.fromtimestamp(part.integer("timestamp"), UTC)
    except (PayloadError, ValueError, OverflowError, OSError):
        return received_at
    return at if received_at - _OLDEST <= at <= received_at else received_at


def _degrees(body: Payload, key: str, limit: float) -> float:
    value = body.number(key)
    if not -limit <= value <= limit:
        body.get(key).refuse(f"-{limit} to {limit} degrees")
    return value


def _media_type(claimed: str) -> str:
    """Return the type without parameters: ``audio/ogg; codecs=opus``."""
    media_type = claimed.partition(";")[0].strip().lower()
    known = _MEDIA_TYPE.fullmatch(media_type) is not None
    return media_type if known else "application/octet-stream"


def _digest(claimed: str) -> str | None:
    """Return a SHA-256 in hex; Meta writes base64, some of its samples hex."""
    if _SHA256_HEX.fullmatch(claimed):
        return claimed.lower()
    try:
        digest = base64.b64decode(claimed, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == _SHA256_BYTES else None


def _optional(part: Payload, key: str) -> str:
    """Return a text we can do without: "" if it is missing or no text."""
    found: Any = part.value.get(key) if isinstance(part.value, dict) else None
    return found if isinstance(found, str) else ""


def _clean(text: str) -> str:
    """Replace NUL, which no database takes in a text."""
    return text.replace("\x00", "\ufffd")
