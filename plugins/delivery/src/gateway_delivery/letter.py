"""A hand-over as people read it: plain text; pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from gateway.model import Amendment, Handover, Location, Message
from gateway_delivery import texts
from gateway_delivery.texts import Texts

_ROME = ZoneInfo("Europe/Rome")
_CHANNELS = {"mailto": "e-mail", "pec": "PEC", "tel": "tel", "whatsapp": "WhatsApp"}
_AMENDED = {Amendment.EDIT: texts.EDITED, Amendment.REVOCATION: texts.DELETED}
_MAP = "https://www.openstreetmap.org/?mlat={0:.6f}&mlon={1:.6f}#map=18/{0:.6f}/{1:.6f}"
_UNSEEN = {"Cc", "Cf", "Cs"}
_WANTED = {"\n", "\t", "\u200d"}
"""Lines, and what joins emoji."""


def letter(handover: Handover, words: Texts) -> str:
    """Return what an office reads: who, when, where, what, and the files."""
    say, message = words.say, handover.message
    head = say(
        title_of(handover),
        number=handover.case.number,
        service=line(handover.service_name),
    )
    facts = [
        say(texts.SENDER, sender=_who(message)),
        say(
            texts.SENT_AT,
            date=message.sent_at.astimezone(_ROME),
            channel=_CHANNELS.get(message.sender.scheme, message.sender.scheme),
        ),
        *_place(message.location, words),
    ]
    parts = [head, "\n".join(facts), *notes(handover, words), body(message, words)]
    files = "\n".join(_files(handover, words))
    return "\n\n".join(filter(None, [*parts, files])) + "\n"


def title_of(handover: Handover) -> str:
    """Return the text that says what kind of hand-over it is."""
    if handover.follow_up:
        return texts.FILES_ARRIVED
    return texts.ADDITION if handover.addition else texts.REPORT


def notes(handover: Handover, words: Texts) -> Iterator[str]:
    """Yield what must be known before the text is read."""
    message = handover.message
    if message.amendment in _AMENDED:
        yield words.say(_AMENDED[message.amendment])
    if message.authentic is False:
        yield words.say(texts.UNPROVEN)
    if handover.maybe_sent:
        yield words.say(texts.MAYBE_REPEATED)


def body(message: Message, words: Texts) -> str:
    """Return what the citizen says, or that they say nothing."""
    return visible(message.text).strip() or words.say(texts.NO_TEXT)


def map_url(location: Location) -> str:
    """Return the address of a map that shows a point."""
    return _MAP.format(location.latitude, location.longitude)


def line(text: str) -> str:
    """Return a text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def visible(text: str) -> str:
    """Return a text without what controls a terminal or turns the writing round."""
    return "".join(
        each
        for each in text
        if each in _WANTED or unicodedata.category(each) not in _UNSEEN
    )


def _who(message: Message) -> str:
    name = line(message.sender_name)
    # A number says more than a provider's id, and one can call it.
    sender = line(next((a.value for a in message.aliases), message.sender.value))
    return f"{name} ({sender})" if name else sender


def _place(location: Location | None, words: Texts) -> Iterator[str]:
    if location is None:
        return
    degrees = f"{location.latitude:.6f}, {location.longitude:.6f}"
    known = (location.name, location.address, location.district)
    named = [line(each) for each in known if each]
    yield words.say(texts.PLACE, place=", ".join([*named, degrees]))
    yield words.say(texts.MAP, url=map_url(location))


def _files(handover: Handover, words: Texts) -> Iterator[str]:
    for each in handover.enclosures:
        yield words.say(texts.FILE, name=line(each.name), size=each.size)
        if each.url:
            yield words.say(texts.DOWNLOAD, day=each.last_day, url=each.url)
    for what in handover.missing:
        yield words.say(texts.MISSING, what=line(what))
