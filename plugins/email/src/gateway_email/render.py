"""Deliveries → mail; pure.

What identifies a delivery (Message-ID, Date, X-Gateway-Delivery) is the same at every
attempt, so that a repetition can be recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from email import headerregistry
from email.message import EmailMessage
from uuid import UUID

from gateway.model import Amendment, Enclosure, Handover, Outgoing
from gateway_email import reply_token, texts
from gateway_email.config import EmailSettings
from gateway_email.evidence import own_message_id
from gateway_email.folding import POLICY
from gateway_email.headers import clean, message_ids
from gateway_email.letters import Content, citizen_letter, office_letter
from gateway_email.stationery import Body, Stationery
from gateway_email.texts import Texts

_SUBJECT_CHARACTERS = 60

_SUBJECTS = {
    Amendment.EDIT: texts.EDITED,
    Amendment.REVOCATION: texts.DELETED,
    Amendment.REACTION: texts.REACTION,
}

_BY_PEOPLE = frozenset({"answer", "location"})
"""Purposes of what an office says: RFC 3834 is about responders only."""

_NO_ANSWERS = "DR, RN, NRN, OOF, AutoReply"
"""What we want nothing of; "All" would also silence Exchange's bounces."""


def message_id(delivery_id: str, domain: str) -> str:
    """Return the Message-ID of a delivery."""
    return own_message_id(UUID(delivery_id), domain)


def render_handover(
    handover: Handover,
    to: Sequence[str],
    settings: EmailSettings,
    stationery: Stationery,
    contents: Sequence[Content] = (),
) -> EmailMessage:
    """Return the mail by which an office gets a citizen's message."""
    mail = _envelope(handover, settings)
    mail["To"] = [headerregistry.Address(addr_spec=address) for address in to]
    subject = _handover_subject(handover, stationery.words)
    mail["Subject"] = subject
    mail["X-Gateway-Case"] = clean(handover.case.number)
    mail["Auto-Submitted"] = "auto-generated"
    city = clean(settings.sender_name)
    letter = office_letter(handover, subject, city, contents, stationery.words)
    _write(mail, stationery.office(letter))
    _attach(mail, contents)
    return mail


def render_outgoing(
    outgoing: Outgoing,
    settings: EmailSettings,
    stationery: Stationery,
    contents: Sequence[Content] = (),
) -> EmailMessage:
    """Return the mail by which a citizen gets an answer."""
    mail = _envelope(outgoing, settings)
    mail["To"] = headerregistry.Address(addr_spec=outgoing.to.value)
    city = clean(settings.sender_name)
    subject = _outgoing_subject(outgoing, city, stationery.words)
    mail["Subject"] = subject
    _mark(mail, outgoing.purpose)
    _thread(mail, outgoing.quote)
    letter = citizen_letter(outgoing, subject, city, contents, stationery.words)
    _write(mail, stationery.citizen(letter))
    _attach(mail, contents)
    return mail


def _envelope(delivery: Handover | Outgoing, settings: EmailSettings) -> EmailMessage:
    """Start a mail with what is common to all."""
    mail = EmailMessage(policy=POLICY)
    identity = UUID(delivery.delivery_id)
    token = reply_token.encode(identity, settings.key.get_secret_value().encode())
    mail["From"] = headerregistry.Address(
        display_name=clean(settings.sender_name), addr_spec=settings.sender
    )
    mail["Reply-To"] = reply_token.address(settings.reply_to, token)
    mail["Date"] = delivery.created_at
    mail["Message-ID"] = own_message_id(identity, settings.domain)
    mail["X-Gateway-Delivery"] = str(identity)
    if delivery.maybe_sent:
        mail["X-Gateway-Possible-Duplicate"] = "yes"
    return mail


def _mark(mail: EmailMessage, purpose: str) -> None:
    """Say that a machine wrote it, unless a person at the city did."""
    if purpose in _BY_PEOPLE or purpose.startswith("enclosure:"):
        return
    is_news = purpose == "campaign"
    mail["Auto-Submitted"] = "auto-generated" if is_news else "auto-replied"
    mail["X-Auto-Response-Suppress"] = _NO_ANSWERS


def _thread(mail: EmailMessage, quote: str | None) -> None:
    """Refer to the mail that is answered, if its id is a Message-ID."""
    ids = message_ids(quote or "")
    if ids == [quote]:
        mail["In-Reply-To"] = quote
        mail["References"] = quote


def _handover_subject(handover: Handover, words: Texts) -> str:
    kind = texts.ADDITION if handover.addition else texts.NEW_CASE
    if handover.message.amendment is not None:
        kind = _SUBJECTS[handover.message.amendment]
    if handover.follow_up:
        kind = texts.FILES_ARRIVED
    said = _shorten(clean(handover.message.text))
    title = f"[{handover.case.number}] {words.say(kind)}"
    return clean(title + (f" — {said}" if said else ""))


def _outgoing_subject(outgoing: Outgoing, city: str, words: Texts) -> str:
    subject = clean(outgoing.subject) or words.say(texts.ANSWER_FROM, city=city)
    number = clean(outgoing.case_number)
    return f"[{number}] {subject}" if number and number not in subject else subject


def _shorten(text: str) -> str:
    if len(text) <= _SUBJECT_CHARACTERS:
        return text
    return text[:_SUBJECT_CHARACTERS].rpartition(" ")[0].rstrip(",;:.") + "…"


def _write(mail: EmailMessage, body: Body) -> None:
    """Put in both forms of the text: the reader's program takes the last it knows."""
    mail.set_content(_sendable(body.text))
    mail.add_alternative(_sendable(body.html), subtype="html")


def _sendable(text: str) -> str:
    """Return ``text`` with lone surrogates, which UTF-8 can't hold, replaced."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _attach(mail: EmailMessage, contents: Sequence[Content]) -> None:
    for enclosure, octets in contents:
        if octets is None:
            continue
        main, sub = _media_type(enclosure)
        mail.add_attachment(
            octets,
            maintype=main,
            subtype=sub,
            filename=clean(enclosure.name) or enclosure.sha256[:12],
        )


def _media_type(enclosure: Enclosure) -> tuple[str, str]:
    """Return the two halves of the type; mail within mail goes as plain bytes."""
    main, _, sub = enclosure.media_type.partition("/")
    if not (main.isascii() and sub.isascii() and main and sub):
        return "application", "octet-stream"
    if main in ("message", "multipart"):
        # RFC 2046 §5.2.1 forbids base64 there.
        return "application", "octet-stream"
    return main, sub
