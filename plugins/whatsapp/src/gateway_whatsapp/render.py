"""A delivery → the body of ``POST /{phone-number-id}/messages``. Pure.

Source: Meta, *Cloud API: text messages*.
"""

from __future__ import annotations

from typing import Any

from semantic_text_splitter import TextSplitter

from gateway.errors import DeliveryError
from gateway.model import Outgoing
from gateway_whatsapp.people import SCHEME, is_bsuid

LONGEST_TEXT = 4096
"""Characters of a text message at most."""

_ROOM_FOR_NOTES = 596
"""What the gateway may add to a text: which attachments are missing, say."""

_SPLITTER = TextSplitter(LONGEST_TEXT - _ROOM_FOR_NOTES)


def split_text(text: str) -> list[str]:
    """Return the messages that a text is sent as: cut at paragraphs, then sentences."""
    if len(text) <= LONGEST_TEXT - _ROOM_FOR_NOTES:
        return [text]
    return _SPLITTER.chunks(text)


def render(outgoing: Outgoing) -> dict[str, Any]:
    """Return the body; the same at every attempt.

    Raises:
        DeliveryError: no WhatsApp address, or the text is too long.

    """
    if outgoing.to.scheme != SCHEME:
        text = f"{outgoing.to.scheme}: is no WhatsApp address"
        raise DeliveryError("bad_address", text, retryable=False)
    if len(outgoing.text) > LONGEST_TEXT:
        text = f"WhatsApp takes {LONGEST_TEXT} characters: shorten the text"
        raise DeliveryError("text_too_long", text, retryable=False)
    to = outgoing.to.value
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "recipient" if is_bsuid(to) else "to": to,
        "type": "text",
        "text": {"body": outgoing.text, "preview_url": False},
        "biz_opaque_callback_data": outgoing.delivery_id,
    }
    if outgoing.quote:
        body["context"] = {"message_id": outgoing.quote}
    return body
