"""Mail → message; pure. Raises nothing but `PayloadError` on bad mail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.errors import PayloadError, Unreadable
from gateway.model import Inbound, Message, MessageId
from gateway_email import headers, reply_token
from gateway_email.authentication import is_authentic
from gateway_email.automatic import is_automatic
from gateway_email.enclosed import attachments, unpack
from gateway_email.evidence import own_message_id
from gateway_email.kinds import Kind, kind_of
from gateway_email.mime import Part, leaves, read_mail
from gateway_email.reply import new_text, new_text_of_html
from gateway_email.senders import mailto

if TYPE_CHECKING:
    from gateway_email.winmail import Contents

_TEXT_CHARACTERS = 200_000

_REPLY_MARKS = ("re:", "r:", "rif:", "i:", "fw:", "fwd:")


def parse(
    inbound: Inbound,
    *,
    key: bytes,
    domain: str,
    authserv_id: str | None = None,
    unpacks: bool = False,
) -> Message:
    """Read a stored mail.

    ``references`` name our own Message-ID first if the mail came to an address with a
    token signed by ``key``. The subject becomes the first line of a new matter. The
    sender is authentic if the server ``authserv_id`` says so; it is None if there is
    no such server. ``unpacks``: also what is in a ``winmail.dat``, which may take long.

    Raises:
        PayloadError: the sender can't be told, or a limit is exceeded.

    """
    mail = read_mail(inbound.original.body)
    try:
        message = _read(mail, inbound, key=key, domain=domain, unpacks=unpacks)
        if authserv_id is None:
            return message
        return replace(message, authentic=is_authentic(mail, authserv_id))
    except headers.BROKEN as error:
        raise Unreadable("body", f"broken mail ({type(error).__name__})") from None


def _read(
    mail: headers.Mail, inbound: Inbound, *, key: bytes, domain: str, unpacks: bool
) -> Message:
    sender = headers.sender(mail)
    if sender is None:
        raise PayloadError("From", "expected one readable address")
    parts = list(leaves(mail))
    subject = headers.subject(mail)
    references = _references(mail, key, domain)
    unpacked = unpack(parts) if unpacks else {}
    bodies = [part for part in parts if part.is_body]
    text = _text(bodies, unpacked.values(), _kind(subject, references, domain))
    files = [part for part in parts if not part.is_body]
    return Message(
        id=MessageId(inbound.id),
        channel=inbound.channel,
        external_id=headers.message_id(mail) or inbound.external_id,
        sender=mailto(sender.addr_spec),
        sender_name=_name(sender.display_name),
        sent_at=headers.sent_at(mail, inbound.original.received_at),
        received_at=inbound.original.received_at,
        text=_bounded(text if references else _with_subject(subject, text)),
        attachments=tuple(attachments(files, unpacked)),
        references=references,
        subject=subject,
        automatic=is_automatic(mail),
    )


def _name(claimed: str) -> str:
    """Return a name; not one that passes itself off as an address."""
    name = headers.clean(claimed)
    return "" if "@" in name else name


def _kind(subject: str, references: tuple[str, ...], domain: str) -> Kind:
    if any(each.endswith(f"@{domain}>") for each in references):
        # Our own mail that comes back is no report, though an office may "forward" it.
        return Kind.ANSWER
    return kind_of(subject, answers=bool(references))


def _references(mail: headers.Mail, key: bytes, domain: str) -> tuple[str, ...]:
    named = headers.references(mail)
    for recipient in headers.recipients(mail):
        token = recipient.partition("@")[0].rpartition("+")[2]
        delivery = reply_token.decode(token, key)
        if delivery is not None:
            named.insert(0, own_message_id(delivery, domain))
            break
    return tuple(dict.fromkeys(named))


def _text(bodies: list[Part], unpacked: Iterable[Contents], kind: Kind) -> str:
    """Return the new text: of what is plain, else of HTML; at last, what was packed."""
    plain = [part.text() for part in bodies if part.media_type == "text/plain"]
    if any(text.strip() for text in plain):
        return new_text("\n".join(plain), kind)
    html = [part.text() for part in bodies if part.media_type == "text/html"]
    text = new_text_of_html("\n".join(html), kind)
    for each in unpacked:
        text = text or new_text(each.text, kind) or new_text_of_html(each.html, kind)
    return text


def _bounded(text: str) -> str:
    """Return as much as somebody may read, and a mark if that is not all."""
    if len(text) <= _TEXT_CHARACTERS:
        return text
    return f"{text[:_TEXT_CHARACTERS]}\n[…]"


def _with_subject(subject: str, text: str) -> str:
    if not subject or subject.lower().startswith(_REPLY_MARKS):
        return text
    return f"{subject}\n\n{text}".strip()
