"""Deliveries → mail; pure.

What identifies a delivery (Message-ID, Date, X-Gateway-Delivery) is the same at every
attempt, so that a repetition can be recognised.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from email import headerregistry
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID
from zoneinfo import ZoneInfo

from gateway.model import Amendment, Enclosure, Handover, Location, Message, Outgoing
from gateway_email import reply_token
from gateway_email.config import EmailSettings
from gateway_email.headers import clean, message_ids
from gateway_email.parse import own_message_id

# Seven bits pass every server, also one without 8BITMIME.
_POLICY = SMTP.clone(cte_type="7bit")
_ROME = ZoneInfo("Europe/Rome")
_SUBJECT_CHARACTERS = 60
_CHANNEL_NAMES = {"mailto": "e-mail", "tel": "telefono", "whatsapp": "WhatsApp"}

_AMENDED = {
    Amendment.EDIT: "Il cittadino ha modificato un suo messaggio; ora dice:",
    Amendment.REVOCATION: "Il cittadino ha cancellato un suo messaggio.",
    Amendment.REACTION: "Reazione del cittadino a un messaggio:",
}
_SUBJECTS = {
    Amendment.EDIT: "Messaggio modificato",
    Amendment.REVOCATION: "Messaggio cancellato",
    Amendment.REACTION: "Reazione",
}
_FLAGS = {
    "unsupported": "Il cittadino ha mandato qualcosa che qui non si vede: {kind}",
    "forwarded": "Messaggio inoltrato",
    "frequently_forwarded": "Messaggio inoltrato molte volte",
    "referral": "Scritto a partire da un annuncio",
}

_BY_PEOPLE = frozenset({"answer", "location"})
"""Purposes of what an office says: RFC 3834 is about responders only."""

_NO_ANSWERS = "DR, RN, NRN, OOF, AutoReply"
"""What we want nothing of; "All" would also silence Exchange's bounces."""

Content = tuple[Enclosure, bytes | None]
"""An enclosure and its bytes; None if it is too large to be sent along."""


def message_id(delivery_id: str, domain: str) -> str:
    """Return the Message-ID of a delivery."""
    return own_message_id(UUID(delivery_id), domain)


def render_handover(
    handover: Handover,
    to: Sequence[str],
    settings: EmailSettings,
    contents: Sequence[Content] = (),
) -> EmailMessage:
    """Return the mail by which an office gets a citizen's message."""
    mail = _envelope(handover, settings)
    mail["To"] = [headerregistry.Address(addr_spec=address) for address in to]
    mail["Subject"] = _handover_subject(handover)
    mail["X-Gateway-Case"] = clean(handover.case.number)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(_sendable(_handover_text(handover, contents)))
    _attach(mail, contents)
    return mail


def render_outgoing(
    outgoing: Outgoing, settings: EmailSettings, contents: Sequence[Content] = ()
) -> EmailMessage:
    """Return the mail by which a citizen gets an answer."""
    mail = _envelope(outgoing, settings)
    mail["To"] = headerregistry.Address(addr_spec=outgoing.to.value)
    mail["Subject"] = _outgoing_subject(outgoing, settings)
    _mark(mail, outgoing.purpose)
    _thread(mail, outgoing.quote)
    too_large = _lines("Allegati troppo grandi per l'e-mail:", _too_large(contents))
    mail.set_content(_sendable("\n".join([outgoing.text, *too_large])))
    _attach(mail, contents)
    return mail


def _envelope(delivery: Handover | Outgoing, settings: EmailSettings) -> EmailMessage:
    """Start a mail with what is common to all."""
    mail = EmailMessage(policy=_POLICY)
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


def _handover_subject(handover: Handover) -> str:
    kind = "Nuovo messaggio" if handover.follow_up else "Nuova segnalazione"
    if handover.message.amendment is not None:
        kind = _SUBJECTS[handover.message.amendment]
    words = _shorten(clean(handover.message.text))
    return clean(f"[{handover.case.number}] {kind}" + (f" — {words}" if words else ""))


def _outgoing_subject(outgoing: Outgoing, settings: EmailSettings) -> str:
    subject = clean(outgoing.subject) or f"Risposta da {clean(settings.sender_name)}"
    number = clean(outgoing.case_number)
    return f"[{number}] {subject}" if number and number not in subject else subject


def _shorten(text: str) -> str:
    if len(text) <= _SUBJECT_CHARACTERS:
        return text
    return text[:_SUBJECT_CHARACTERS].rpartition(" ")[0].rstrip(",;:.") + "…"


def _handover_text(handover: Handover, contents: Sequence[Content]) -> str:
    message = handover.message
    attached = [
        _named(enclosure) for enclosure, octets in contents if octets is not None
    ]
    sections = [
        [f"Pratica {handover.case.number} — {handover.service_name}", ""],
        _who(message),
        ["", *_said(message)],
        _place(message.location),
        _lines("Allegati:", attached),
        _lines("Allegati troppo grandi per l'e-mail:", _too_large(contents)),
        _lines("Allegati non disponibili:", handover.missing),
        _how_to_answer(message),
    ]
    return "\n".join(line for section in sections for line in section) + "\n"


def _who(message: Message) -> list[str]:
    sent = message.sent_at.astimezone(_ROME)
    name = clean(message.sender_name)
    # A number says more than a provider's id, and one can call it.
    sender = clean(next((a.value for a in message.aliases), message.sender.value))
    return [
        f"Da: {name} ({sender})" if name else f"Da: {sender}",
        f"Canale: {_channel_name(message)}",
        f"Inviato: {sent:%d/%m/%Y alle %H:%M}",
    ]


def _said(message: Message) -> list[str]:
    """Return the text, and what the office must know of it."""
    notes = [_AMENDED[message.amendment]] if message.amendment else []
    for flag in message.flags:
        name, _, kind = flag.partition(":")
        if name in _FLAGS:
            notes.append(_FLAGS[name].format(kind=clean(kind)))
    if message.choice:
        notes.append("Il cittadino ha scelto da un menu:")
    text = _visible(message.text) or ("" if notes else "(senza testo)")
    return [*(f"[{note}]" for note in notes), *([text] if text else [])]


_UNSEEN = {"Cc", "Cf"}
_WANTED = {"\n", "\t", "\u200d"}
"""Lines, and what joins emoji."""


def _visible(text: str) -> str:
    """Return a text without what controls a terminal or turns the writing round."""
    return "".join(
        each
        for each in text
        if each in _WANTED or unicodedata.category(each) not in _UNSEEN
    )


def _channel_name(message: Message) -> str:
    return _CHANNEL_NAMES.get(message.sender.scheme, message.sender.scheme)


def _place(location: Location | None) -> list[str]:
    if location is None:
        return []
    latitude, longitude = f"{location.latitude:.6f}", f"{location.longitude:.6f}"
    query = f"mlat={latitude}&mlon={longitude}"
    words = [clean(word) for word in (location.name, location.address) if word]
    return [
        "",
        ", ".join(["Posizione: " + f"{latitude}, {longitude}", *words]),
        f"https://www.openstreetmap.org/?{query}#map=18/{latitude}/{longitude}",
    ]


def _how_to_answer(message: Message) -> list[str]:
    way = _channel_name(message)
    return [
        "",
        "--",
        f"Risponda a questa e-mail: il testo arriva al cittadino ({way}).",
        "Non modifichi l'indirizzo a cui risponde: contiene il codice della pratica.",
    ]


def _lines(title: str, names: Iterable[str]) -> list[str]:
    """Return a titled list, nothing if there are no names."""
    items = [f"- {clean(name)}" for name in names]
    return ["", title, *items] if items else []


def _named(enclosure: Enclosure) -> str:
    facts = [
        *(["messaggio vocale"] if enclosure.voice else []),
        *([_clock(enclosure.seconds)] if enclosure.seconds is not None else []),
        f"{enclosure.size} byte",
    ]
    return f"{enclosure.name or enclosure.media_type} ({', '.join(facts)})"


def _clock(seconds: float) -> str:
    """Return a length as a clock shows it: ``0:42``, ``1:02:03``."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _too_large(contents: Sequence[Content]) -> list[str]:
    return [_named(enclosure) for enclosure, octets in contents if octets is None]


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
