"""What a service's own system says of a case: read from JSON; pure.

``{"case": "URP-2026-000123", "text": "…", "status": "closed"}``. What is
to be done with the case is said by the status alone, never by the text: that may hold
the words of anybody.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from gateway.errors import PayloadError
from gateway.model import (
    Address,
    Attachment,
    Inbound,
    Message,
    MessageId,
    Order,
    ServiceId,
)
from gateway.payload import Payload
from gateway_delivery.letter import line

SCHEME: Final = "service"
OPEN: Final = "open"
CLOSED: Final = "closed"
HANDED_ON: Final = "handed_on"
_STATUSES: Final = (OPEN, CLOSED, HANDED_ON)
_ORDERS: Final = {CLOSED: Order.CLOSE, HANDED_ON: Order.HAND_ON}
_LONGEST_NUMBER: Final = 100
_LONGEST_OFFICE: Final = 80
_MOST_FILES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a system says: of which case, to the citizen, and to the gateway."""

    case: str
    text: str = ""
    status: str = OPEN
    office: str = ""
    files: tuple[Attachment, ...] = ()


def said_by(service: ServiceId) -> Address:
    """Return the sender of what a service's own system says."""
    return Address(SCHEME, service)


def read(body: bytes) -> Said:
    """Read an answer.

    Raises:
        PayloadError: it is none; the error names the path.

    """
    payload = Payload.from_json(body)
    said = Said(
        case=_case(payload),
        text=payload.text_or("text").strip(),
        status=_status(payload),
        office=_office(payload),
        files=tuple(_file(each) for each in _files(payload)),
    )
    if not (said.text or said.files or said.status != OPEN):
        raise PayloadError("text", "missing: an answer has a text, files or a status")
    return said


def to_message(said: Said, inbound: Inbound) -> Message:
    """Return an answer as the gateway takes it, in the name of ``inbound.sender``."""
    at = inbound.original.received_at
    return Message(
        id=MessageId(inbound.id),
        channel=inbound.channel,
        external_id=inbound.external_id,
        sender=said_by(ServiceId(inbound.sender)),
        sent_at=at,
        received_at=at,
        subject=said.case,
        text=said.text,
        order=_ORDERS.get(said.status),
        office=said.office,
        attachments=said.files,
        authentic=True,
    )


def content(body: bytes, locator: str) -> bytes:
    """Return the bytes of a file in an answer.

    Raises:
        PayloadError: they are not there.

    """
    return _decoded(Payload.from_json(body).find(locator))


def _case(payload: Payload) -> str:
    number = line(payload.text("case"))
    if not 0 < len(number) <= _LONGEST_NUMBER:
        raise PayloadError("case", "expected the number of a case")
    return number


def _status(payload: Payload) -> str:
    status = payload.text_or("status", OPEN)
    if status not in _STATUSES:
        raise PayloadError("status", f"expected one of: {', '.join(_STATUSES)}")
    return status


def _office(payload: Payload) -> str:
    if _status(payload) != HANDED_ON:
        return ""
    office = line(payload.text("to"))
    if not 0 < len(office) <= _LONGEST_OFFICE:
        raise PayloadError("to", "expected the id of a service")
    return office


def _files(payload: Payload) -> list[Payload]:
    files = payload.items_or_none("files")
    if len(files) > _MOST_FILES:
        raise PayloadError("files", f"expected {_MOST_FILES} files at most")
    return files


def _file(payload: Payload) -> Attachment:
    return Attachment(
        media_type=line(payload.text_or("media_type")) or "application/octet-stream",
        locator=payload.path,
        name=line(payload.text("name")),
        size=len(_decoded(payload)),
    )


def _decoded(payload: Payload) -> bytes:
    try:
        return base64.b64decode(payload.text("content"), validate=True)
    except (binascii.Error, ValueError):
        raise PayloadError(f"{payload.path}.content", "expected base64") from None
