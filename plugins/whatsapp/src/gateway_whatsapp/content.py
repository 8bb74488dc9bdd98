"""What a citizen's message holds, type by type. Pure.

Source of the shapes: Meta's published schema (business-messaging-api v23.0) and its
*Webhooks* reference. What a citizen chose or shared becomes text, as the office reads
it; the words are the citizen's and the city's own, none are added.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypedDict

from gateway.errors import PayloadError
from gateway.model import Amendment, Attachment, Location
from gateway.payload import Payload

MEDIA_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""What a media id looks like: it becomes part of an address."""

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
_TYPE = re.compile(r"[a-z_]{1,64}")
_SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SHA256_BYTES = 32


class Content(TypedDict, total=False):
    """The fields of a `Message` that depend on its type."""

    text: str
    choice: str
    attachments: tuple[Attachment, ...]
    location: Location
    flags: tuple[str, ...]
    amends: str
    amendment: Amendment
    automatic: bool


def read_content(message: Payload) -> Content:
    """Read what ``message`` holds, by its type; what can't be shown is flagged.

    Raises:
        PayloadError: a type that we know, in a shape that we don't.

    """
    kind = optional(message, "type")
    bare = kind in _BARE and not message.has(kind)
    known = kind in READERS and not bare
    content = READERS[kind](message.get(kind)) if known else unsupported(kind)
    marks = (*_marks(message), *content.get("flags", ()))
    return Content(**{**content, "flags": marks}) if marks else content


def unsupported(kind: str) -> Content:
    """Return what is left of something that can't be shown: a flag with its type."""
    known = kind if _TYPE.fullmatch(kind) else "unknown"
    return Content(flags=(f"unsupported:{known}",))


def _marks(message: Payload) -> Iterator[str]:
    """Return what stands beside the content and staff should see."""
    context = message.value.get("context")
    if isinstance(context, dict):
        for mark in ("frequently_forwarded", "forwarded"):
            if context.get(mark) is True:
                yield mark
                break
    if isinstance(message.value.get("referral"), dict):
        yield "referral"


def _read_text(body: Payload) -> Content:
    return Content(text=clean(body.text("body")))


def _read_media(body: Payload) -> Content:
    """Read image, audio, voice, video, document or sticker."""
    media_id = body.text("id")
    if not MEDIA_ID.fullmatch(media_id):
        body.get("id").refuse("a media id")
    attachment = Attachment(
        media_type=_media_type(optional(body, "mime_type")),
        locator=media_id,
        name=clean(optional(body, "filename")),
        digest=_digest(optional(body, "sha256")),
        voice=body.value.get("voice") is True,
    )
    text = clean(optional(body, "caption"))
    return Content(text=text, attachments=(attachment,))


def _read_location(body: Payload) -> Content:
    location = Location(
        latitude=_degrees(body, "latitude", 90),
        longitude=_degrees(body, "longitude", 180),
        name=clean(optional(body, "name")),
        address=clean(optional(body, "address")),
    )
    return Content(location=location)


def _read_contacts(contacts: Payload) -> Content:
    """Write people down as the citizen shared them, one a line."""
    lines = [", ".join(filter(None, _card(contact))) for contact in contacts]
    return Content(text=clean("\n".join(filter(None, lines))))


def _card(contact: Payload) -> Iterator[str]:
    """Return name, firm, telephones and addresses of one contact."""
    if contact.has("name"):
        yield optional(contact.get("name"), "formatted_name")
    if contact.has("org"):
        yield optional(contact.get("org"), "company")
    for phone in contact.items_or_none("phones"):
        yield optional(phone, "phone") or optional(phone, "wa_id")
    for email in contact.items_or_none("emails"):
        yield optional(email, "email")


def _read_interactive(answer: Payload) -> Content:
    """Read what was chosen from a list, by a button, or filled in."""
    kind = optional(answer, "type")
    read = _ANSWERS.get(kind)
    if read is None or not answer.has(kind):
        return unsupported("interactive")
    return read(answer.get(kind))


def _read_reply(reply: Payload) -> Content:
    text = clean(reply.text("title"))
    return Content(text=text, choice=clean(optional(reply, "id")))


def _read_form(form: Payload) -> Content:
    """Read a filled-in form (flow): its fields as lines; Meta has them as JSON text."""
    try:
        fields = Payload.from_json(optional(form, "response_json").encode()).value
    except PayloadError:
        fields = None
    if not isinstance(fields, dict):
        return Content(text=clean(optional(form, "body")))
    lines = (f"{k}: {v}" for k, v in fields.items() if k != "flow_token")
    return Content(text=clean("\n".join(lines)), choice=clean(optional(form, "name")))


_ANSWERS: Final[dict[str, Callable[[Payload], Content]]] = {
    "button_reply": _read_reply,
    "list_reply": _read_reply,
    "nfm_reply": _read_form,
}


def _read_button(button: Payload) -> Content:
    """Read the quick reply of a template."""
    text = clean(button.text("text"))
    return Content(text=text, choice=clean(optional(button, "payload")))


def _read_order(order: Payload) -> Content:
    lines = [optional(order, "text")]
    for item in order.items_or_none("product_items"):
        product = item.text("product_retailer_id")
        lines.append(f"{item.integer('quantity')} x {product}")
    return Content(text=clean("\n".join(filter(None, lines))))


def _read_reaction(reaction: Payload) -> Content:
    """Read a reaction; without an emoji it is taken back."""
    return Content(
        text=clean(optional(reaction, "emoji")),
        amends=clean(reaction.text("message_id")),
        amendment=Amendment.REACTION,
    )


def _read_edit(edit: Payload) -> Content:
    """Read what a message has become; of another type than before, perhaps."""
    message = edit.get("message")
    kind = optional(message, "type")
    known = kind in READERS and kind not in _AMENDING and message.has(kind)
    content = READERS[kind](message.get(kind)) if known else unsupported(kind)
    return Content(
        **content,
        amends=clean(edit.text("original_message_id")),
        amendment=Amendment.EDIT,
    )


def _read_revocation(revoke: Payload) -> Content:
    return Content(
        amends=clean(revoke.text("original_message_id")),
        amendment=Amendment.REVOCATION,
    )


def _read_unsupported(detail: Payload) -> Content:
    """Name what Meta could not hand over: a poll, say."""
    return unsupported(optional(detail, "type"))


def _read_system(event: Payload) -> Content:
    kind = optional(event, "type")
    known = kind if _TYPE.fullmatch(kind) else "unknown"
    text = clean(optional(event, "body"))
    return Content(text=text, flags=(f"system:{known}",), automatic=True)


READERS: Final[dict[str, Callable[[Payload], Content]]] = {
    "text": _read_text,
    "image": _read_media,
    "audio": _read_media,
    "video": _read_media,
    "document": _read_media,
    "sticker": _read_media,
    "location": _read_location,
    "contacts": _read_contacts,
    "interactive": _read_interactive,
    "button": _read_button,
    "order": _read_order,
    "reaction": _read_reaction,
    "edit": _read_edit,
    "revoke": _read_revocation,
    "unsupported": _read_unsupported,
    "system": _read_system,
}
"""What reads which type; any other is kept, flagged ``unsupported:<type>``."""

_AMENDING = {"reaction", "edit", "revoke"}
_BARE = {"interactive", "unsupported"}
"""Types whose body Meta may leave out."""


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


def optional(part: Payload, key: str) -> str:
    """Return a text we can do without: "" if it is missing or no text."""
    found: Any = part.value.get(key) if isinstance(part.value, dict) else None
    return found if isinstance(found, str) else ""


def clean(text: str) -> str:
    """Replace NUL, which no database takes in a text."""
    return text.replace("\x00", "\ufffd")
