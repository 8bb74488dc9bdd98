"""All that is done to a stored mail in a child process; pure, and picklable."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from gateway.errors import AttachmentError, Unreadable
from gateway.model import Inbound, Message, Receipt
from gateway_email.automatic import is_own
from gateway_email.bounces import read_receipt
from gateway_email.enclosed import part_content
from gateway_email.headers import read_headers
from gateway_email.parse import parse
from gateway_email.tasks import Ours
from gateway_email.texts import Texts

_CALENDARS = ("application/ics", "text/calendar")
_CALENDARS_READ = 3


def read_stored(
    inbound: Inbound, ours: Ours, *, unpacks: bool = False
) -> Message | Receipt:
    """Read a stored mail: a report on a delivery of ours, or a message.

    ``unpacks``: also what is in a ``winmail.dat``.

    Raises:
        PayloadError: it can't be read; it is kept and shown to staff.

    """
    receipt = read_receipt(inbound, key=ours.key, domain=ours.domain)
    if receipt is not None:
        return receipt
    message = parse(
        inbound,
        key=ours.key,
        domain=ours.domain,
        authserv_id=ours.authserv_id,
        unpacks=unpacks,
    )
    message = with_appointments(message, inbound.original.body, ours.language)
    if is_own(read_headers(inbound.original.body), ours.addresses):
        return replace(message, automatic=True)
    return message


def with_appointments(message: Message, raw: bytes, language: str) -> Message:
    """Add to the text what calendar files say; those that can't be read stay files."""
    said = [message.text]
    calendars = [it for it in message.attachments if it.media_type in _CALENDARS]
    for each in calendars[:_CALENDARS_READ]:
        with suppress(AttachmentError, Unreadable):
            said.append(_described(part_content(raw, each.locator), language))
    # Clients send an invitation twice: to be read and to be opened.
    text = "\n\n".join(dict.fromkeys(filter(None, said)))
    return message if text == message.text else replace(message, text=text)


def _described(content: bytes, language: str) -> str:
    # Only child processes need this library: importing it costs start-up time.
    from gateway_email.invitations import describe  # noqa: PLC0415

    return describe(content, Texts(language))
