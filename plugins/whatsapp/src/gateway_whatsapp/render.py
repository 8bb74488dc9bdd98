"""A delivery → the body of ``POST /{phone-number-id}/messages``. Pure.

Sources: Meta, *Cloud API: text messages, media messages, templates*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.errors import DeliveryError
from gateway.model import Enclosure, Location, Outgoing
from gateway_whatsapp.config import Templates
from gateway_whatsapp.formatting import LONGEST_TEXT
from gateway_whatsapp.menus import render_menu, written_out
from gateway_whatsapp.people import SCHEME, is_bsuid


@dataclass(frozen=True, slots=True)
class MediaKind:
    """How Meta sends files of some types, and up to how many bytes."""

    name: str
    media_types: tuple[str, ...]
    most_bytes: int


MEDIA_KINDS: Final = (
    MediaKind("image", ("image/jpeg", "image/png"), 5 * 2**20),
    MediaKind(
        "audio",
        ("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"),
        16 * 2**20,
    ),
    MediaKind("video", ("video/mp4", "video/3gpp"), 16 * 2**20),
    MediaKind(
        "document",
        (
            "text/plain",
            "application/pdf",
            "application/msword",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
            *(
                f"application/vnd.openxmlformats-officedocument.{kind}"
                for kind in (
                    "wordprocessingml.document",
                    "spreadsheetml.sheet",
                    "presentationml.presentation",
                )
            ),
        ),
        100 * 2**20,
    ),
)
"""What can be uploaded (Meta, *Cloud API: supported media types*)."""


def media_kind(enclosure: Enclosure) -> MediaKind:
    """Return how a file is sent.

    Raises:
        DeliveryError: Meta does not take it.

    """
    for kind in MEDIA_KINDS:
        if enclosure.media_type in kind.media_types:
            if enclosure.size <= kind.most_bytes:
                return kind
            text = f"WhatsApp takes {kind.name} files up to {kind.most_bytes} bytes"
            raise DeliveryError("file_too_large", text, retryable=False)
    text = f"WhatsApp does not take files of type {enclosure.media_type}"
    raise DeliveryError("file_type", text, retryable=False)


def render_media(outgoing: Outgoing, media_id: str) -> dict[str, Any]:
    """Return the body of a message that is one uploaded file.

    Raises:
        DeliveryError: no WhatsApp address, or Meta does not take the file.

    """
    (enclosure,) = outgoing.enclosures
    kind = media_kind(enclosure).name
    media = {"id": media_id}
    if kind == "document":
        media["filename"] = enclosure.name
    return {**_envelope(outgoing), "type": kind, kind: media}


def carries(enclosure: Enclosure) -> bool:
    """Tell whether a file can be sent."""
    try:
        media_kind(enclosure)
    except DeliveryError:
        return False
    return True


def render(outgoing: Outgoing) -> dict[str, Any]:
    """Return the body of a text, a menu or a position; the same at every attempt.

    Raises:
        DeliveryError: no WhatsApp address, or the text is too long.

    """
    if outgoing.location is not None and not outgoing.text:
        place = _location(outgoing.location)
        return {**_envelope(outgoing), "type": "location", "location": place}
    if outgoing.menu is not None:
        menu = render_menu(outgoing.text, outgoing.menu)
        if menu is not None:
            return {**_envelope(outgoing), "type": "interactive", "interactive": menu}
        outgoing = replace(outgoing, text=written_out(outgoing.text, outgoing.menu))
    if len(outgoing.text) > LONGEST_TEXT:
        text = f"WhatsApp takes {LONGEST_TEXT} characters: shorten the text"
        raise DeliveryError("text_too_long", text, retryable=False)
    text_object = {"body": outgoing.text, "preview_url": False}
    return {**_envelope(outgoing), "type": "text", "text": text_object}


def _location(place: Location) -> dict[str, Any]:
    """Return the object ``location``; an address is shown only below a name."""
    name = place.name or place.address
    return {
        "latitude": place.latitude,
        "longitude": place.longitude,
        **({"name": name} if name else {}),
        **({"address": place.address} if place.name and place.address else {}),
    }


WINDOW: Final = timedelta(hours=24) - timedelta(minutes=5)
"""How long after the citizen's last message anything may be said, less some doubt."""

_LONGEST_PARAMETER = 1024
_NONE = "files and positions can't be sent: retry when they write again"


def is_closed(outgoing: Outgoing, now: datetime) -> bool:
    """Tell whether only a template may be sent (*customer service window*)."""
    last = outgoing.last_inbound_at
    return last is not None and now - last > WINDOW


def render_template(outgoing: Outgoing, templates: Templates) -> dict[str, Any]:
    """Return the body of the template for what is to be said.

    Raises:
        DeliveryError: there is none, or the text does not fit into it: for staff.

    """
    if not outgoing.may_template:
        text = "more than 24 hours since the citizen wrote, no template yet"
        raise DeliveryError("window_closed", text, retryable=False)
    template = getattr(templates, outgoing.purpose, None)
    if template is None:
        known = outgoing.purpose in Templates.model_fields
        way = f"set templates.{outgoing.purpose} and retry" if known else _NONE
        text = f"more than 24 hours since the citizen wrote, {way}"
        raise DeliveryError("needs_template", text, retryable=False)
    values = {"number": outgoing.case_number, "text": " ".join(outgoing.text.split())}
    filled = [parameter.format(**values) for parameter in template.parameters]
    if any(len(value) > _LONGEST_PARAMETER for value in filled):
        text = f"a template takes {_LONGEST_PARAMETER} characters: shorten the text"
        raise DeliveryError("too_long_for_template", text, retryable=False)
    parameters = [{"type": "text", "text": value} for value in filled]
    said: dict[str, Any] = {
        "name": template.name,
        "language": {"code": template.language},
    }
    if parameters:
        said["components"] = [{"type": "body", "parameters": parameters}]
    body = {**_envelope(outgoing), "type": "template", "template": said}
    body.pop("context", None)
    return body


def render_read(wamid: str) -> dict[str, Any]:
    """Return the body that marks a message as read and shows that we are typing.

    Source: Meta, *Typing indicators*; it ends with our message, or after 25 seconds.
    """
    return {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": wamid,
        "typing_indicator": {"type": "text"},
    }


def _envelope(outgoing: Outgoing) -> dict[str, Any]:
    """Return what is the same for every kind of message."""
    if outgoing.to.scheme != SCHEME:
        text = f"{outgoing.to.scheme}: is no WhatsApp address"
        raise DeliveryError("bad_address", text, retryable=False)
    to = outgoing.to.value
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "recipient" if is_bsuid(to) else "to": to,
        "biz_opaque_callback_data": outgoing.delivery_id,
    }
    if outgoing.quote:
        body["context"] = {"message_id": outgoing.quote}
    return body
