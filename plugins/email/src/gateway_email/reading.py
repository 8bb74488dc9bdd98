"""All that is done to a stored mail in a child process; pure, and picklable."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from gateway.errors import AttachmentError, Unreadable
from gateway.model import Inbound, Message, Receipt
from gateway_email.automatic import is_own
from gateway_email.bounces import read_receipt
from gateway_email.enclosed import is_winmail, part_content
from gateway_email.headers import read_headers
from gateway_email.parse import parse
from gateway_email.texts import Texts

_CALENDARS = ("application/ics", "text/calendar")
_CALENDARS_READ = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What tells our own mail: the key of reply tokens, domain and addresses.

    ``authserv_id`` is the server that proves senders, if there is one; ``language``
    that of what we add to a text.
    """

    key: bytes
    domain: str
    addresses: Sequence[str]
    authserv_id: str | None = None
    language: str = "it"


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


def has_winmail(read: Message | Receipt) -> bool:
    """Tell whether a message has files that `read_stored` could unpack."""
    return isinstance(read, Message) and any(
        is_winmail(each.media_type, each.name) for each in read.attachments
    )
