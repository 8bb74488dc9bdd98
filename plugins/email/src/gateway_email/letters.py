"""What is told in a mail, as data: all that a template sees; pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.model import Amendment, Enclosure, Handover, Location, Message, Outgoing
from gateway_email import texts
from gateway_email.headers import clean
from gateway_email.texts import Texts

_ROME = ZoneInfo("Europe/Rome")
_CHANNELS = {
    "mailto": texts.MAIL,
    "pec": texts.REGISTERED_MAIL,
    "tel": texts.TELEPHONE,
    "whatsapp": "WhatsApp",
}
_AMENDED = {
    Amendment.EDIT: texts.NOW_SAYS,
    Amendment.REVOCATION: texts.WAS_DELETED,
    Amendment.REACTION: texts.REACTED,
}
_FLAGS = {
    "unsupported": texts.UNSUPPORTED,
    "forwarded": texts.FORWARDED,
    "frequently_forwarded": texts.FORWARDED_OFTEN,
    "referral": texts.REFERRAL,
    "pec": texts.PEC,
    "pec_anomaly": texts.PEC_ANOMALY,
    "pec_ordinary": texts.PEC_ORDINARY,
}
_SIZES = ((1_000_000, texts.MEGABYTES), (1_000, texts.KILOBYTES), (1, texts.BYTES))

Content = tuple[Enclosure, bytes | None]
"""An enclosure and its bytes; None if it is too large to be sent along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file: name, what is known of it, and where it can be fetched, until when."""

    name: str
    facts: str
    url: str = ""
    last_day: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position: degrees and words in one line, and a map of it."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What the mails to citizens and to offices have in common.

    ``files`` go along, ``downloads`` can be fetched, ``too_large`` neither.
    """

    language: str
    city: str
    subject: str
    number: str
    text: str
    files: tuple[File, ...] = ()
    downloads: tuple[File, ...] = ()
    too_large: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeLetter(Letter):
    """What an office is told of a citizen's message."""

    service: str
    sender: str
    channel: str
    sent: str
    notes: tuple[str, ...] = ()
    place: Place | None = None
    missing: tuple[str, ...] = ()


def office_letter(
    handover: Handover,
    subject: str,
    city: str,
    contents: Sequence[Content],
    words: Texts,
) -> OfficeLetter:
    """Return what the office is told."""
    message = handover.message
    notes = _notes(message, words)
    if handover.maybe_sent:
        notes = (*notes, words.say(texts.MAYBE_REPEATED))
    sent = message.sent_at.astimezone(_ROME)
    files, downloads, too_large = _files(contents, words)
    bare = "" if _explains(message) else words.say(texts.NO_TEXT)
    return OfficeLetter(
        language=words.language,
        city=city,
        subject=subject,
        number=clean(handover.case.number),
        service=clean(handover.service_name),
        sender=_who(message),
        channel=_channel(message, words),
        sent=words.say(texts.SENT_AT, date=sent),
        notes=notes,
        text=visible(message.text) or bare,
        place=_place(message.location, words),
        files=files,
        downloads=downloads,
        too_large=too_large,
        missing=tuple(clean(name) for name in handover.missing),
    )


def citizen_letter(
    outgoing: Outgoing,
    subject: str,
    city: str,
    contents: Sequence[Content],
    words: Texts,
) -> Letter:
    """Return what the citizen is told."""
    files, downloads, too_large = _files(contents, words)
    return Letter(
        language=words.language,
        city=city,
        subject=subject,
        number=clean(outgoing.case_number),
        text=visible(outgoing.text),
        files=files,
        downloads=downloads,
        too_large=too_large,
    )


def _who(message: Message) -> str:
    name = clean(message.sender_name)
    # A number says more than a provider's id, and one can call it.
    sender = clean(next((a.value for a in message.aliases), message.sender.value))
    return f"{name} ({sender})" if name else sender


def _channel(message: Message, words: Texts) -> str:
    scheme = message.sender.scheme
    return words.say(_CHANNELS[scheme]) if scheme in _CHANNELS else scheme


def _explains(message: Message) -> bool:
    """Tell whether a note says why there is no text."""
    known = (flag.partition(":")[0] in _FLAGS for flag in message.flags)
    return bool(message.amendment or message.choice or any(known))


def _notes(message: Message, words: Texts) -> tuple[str, ...]:
    """Return what the office must know of the text."""
    notes = [words.say(_AMENDED[message.amendment])] if message.amendment else []
    for flag in message.flags:
        name, _, kind = flag.partition(":")
        if name in _FLAGS:
            notes.append(words.say(_FLAGS[name], kind=clean(kind)))
    if message.authentic is False:
        notes.append(words.say(texts.UNPROVEN))
    if message.choice:
        notes.append(words.say(texts.CHOSEN))
    return tuple(notes)


_UNSEEN = {"Cc", "Cf"}
_WANTED = {"\n", "\t", "\u200d"}
"""Lines, and what joins emoji."""


def visible(text: str) -> str:
    """Return a text without what controls a terminal or turns the writing round."""
    return "".join(
        each
        for each in text
        if each in _WANTED or unicodedata.category(each) not in _UNSEEN
    )


_WHENCE = {"text": texts.FROM_TEXT, "photo": texts.FROM_PHOTO}


def _place(location: Location | None, words: Texts) -> Place | None:
    """Return a position in words; whence we have it, unless the citizen sent it."""
    if location is None:
        return None
    said = _WHENCE.get(location.source)
    whence = f" ({words.say(said)})" if said else ""
    latitude, longitude = f"{location.latitude:.6f}", f"{location.longitude:.6f}"
    named = (location.name, location.address, location.district)
    known = [clean(each) for each in named if each]
    query = f"mlat={latitude}&mlon={longitude}"
    return Place(
        text=", ".join([latitude, longitude, *known]) + whence,
        url=f"https://www.openstreetmap.org/?{query}#map=18/{latitude}/{longitude}",
    )


def _files(contents: Sequence[Content], words: Texts) -> list[tuple[File, ...]]:
    """Return the files that go along, that can be fetched, and that do neither."""
    found: list[list[File]] = [[], [], []]
    for enclosure, octets in contents:
        kind = 0 if octets is not None else 1 if enclosure.url else 2
        found[kind].append(_file(enclosure, words))
    return [tuple(each) for each in found]


def _file(enclosure: Enclosure, words: Texts) -> File:
    facts = [
        *([words.say(texts.VOICE_MESSAGE)] if enclosure.voice else []),
        *([_clock(enclosure.seconds)] if enclosure.seconds is not None else []),
        size_of(enclosure.size, words),
    ]
    name = clean(enclosure.name or enclosure.media_type)
    day = enclosure.last_day
    return File(
        name=name,
        facts=", ".join(facts),
        url=enclosure.url,
        last_day=words.say(texts.LAST_DAY, date=day) if day else "",
    )


def size_of(octets: int, words: Texts) -> str:
    """Return a size as people write it: ``812 bytes``, ``45 kB``, ``19 MB``."""
    unit, text = next((u, t) for u, t in _SIZES if octets >= u or u == 1)
    return words.say(text, count=round(octets / unit))


def _clock(seconds: float) -> str:
    """Return a length as a clock shows it: ``0:42``, ``1:02:03``."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def samples(language: str) -> tuple[list[OfficeLetter], list[Letter]]:
    """Return letters with everything and with next to nothing, to try templates on."""
    file = File(name="foto.jpg", facts="45 kB")
    link = File(
        name="film.mp4",
        facts="19 MB",
        url="https://gateway.example.it/files/x",
        last_day=f"{datetime(2026, 12, 31, tzinfo=_ROME):%d/%m/%Y}",
    )
    bare = Letter(language=language, city="Comune", subject="Prova", number="", text="")
    full = Letter(
        language=language,
        city="Comune",
        subject="Prova",
        number="URP-2026-000123",
        text="Prima riga\nseconda riga",
        files=(file,),
        downloads=(link,),
        too_large=(file,),
    )
    told = OfficeLetter(
        language=language,
        city="Comune",
        subject="Prova",
        number="URP-2026-000123",
        text="Prima riga\nseconda riga",
        service="Strade",
        sender="Maria (39329)",
        channel="WhatsApp",
        sent="31/12/2026 alle 10:00",
        notes=("Nota",),
        place=Place(text="39.2, 9.1", url="https://example.it"),
        files=(file,),
        downloads=(link,),
        too_large=(file,),
        missing=("voce.ogg",),
    )
    plain = OfficeLetter(
        language=language,
        city="Comune",
        subject="Prova",
        number="1",
        text="",
        service="Strade",
        sender="Maria",
        channel="e-mail",
        sent="31/12/2026 alle 10:00",
    )
    return [told, plain], [full, bare]
