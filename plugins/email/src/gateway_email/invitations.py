"""Appointments in calendar files (RFC 5545, RFC 6047) as lines of text; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

from gateway.errors import Unreadable
from gateway_email import texts
from gateway_email.headers import clean
from gateway_email.texts import Texts

_ROME = ZoneInfo("Europe/Rome")
_OCTETS = 256 * 1024
_EVENTS = 5
_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """What an event says; days have no zone, moments that of the office.

    ``end`` is exclusive. ``cancelled``: it takes back an earlier one.
    """

    summary: str
    start: datetime | date
    end: datetime | date | None
    place: str
    organiser: str
    repeats: bool
    cancelled: bool


def describe(content: bytes, words: Texts) -> str:
    """Return the first five events of a calendar file, a paragraph each.

    Raises:
        Unreadable: it is larger than 256 KiB, or broken.

    """
    if len(content) > _OCTETS:
        raise Unreadable("calendar", f"more than {_OCTETS} octets")
    try:
        found = list(_appointments(Calendar.from_ical(content)))
    except Exception as error:  # noqa: BLE001 (it raises what its parts do)
        kind = type(error).__name__
        raise Unreadable("calendar", f"can't be read ({kind})") from None
    return "\n\n".join("\n".join(_lines(each, words)) for each in found)


def _lines(found: Appointment, words: Texts) -> Iterator[str]:
    title = texts.CANCELLED_APPOINTMENT if found.cancelled else texts.APPOINTMENT
    yield words.say(title, summary=found.summary)
    when = f"{_moment(found.start)}{_until(found)}"
    yield words.say(texts.REPEATED if found.repeats else texts.ONCE, when=when)
    if found.place:
        yield words.say(texts.PLACE, place=found.place)
    if found.organiser:
        yield words.say(texts.ORGANISER, organiser=found.organiser)


def _moment(moment: datetime | date) -> str:
    is_day = not isinstance(moment, datetime)
    return f"{moment:%d/%m/%Y}" if is_day else f"{moment:%d/%m/%Y %H:%M}"


def _until(found: Appointment) -> str:
    """Return the end, as short as may be."""
    start, end = found.start, found.end
    if end is None:
        return ""
    if isinstance(start, datetime) and isinstance(end, datetime):
        same_day = start.date() == end.date()
        return f"-{end:%H:%M}" if same_day else f" - {_moment(end)}"
    last = end - timedelta(days=1)
    return "" if last <= start else f" - {_moment(last)}"


def _appointments(calendar: Calendar) -> Iterator[Appointment]:
    is_cancelled = str(calendar.get("METHOD", "")).upper() == "CANCEL"
    for event in calendar.events[:_EVENTS]:
        yield Appointment(
            summary=_line(event, "SUMMARY"),
            start=_local(event.start),
            end=_local(event.end) if _has_end(event) else None,
            place=_line(event, "LOCATION"),
            organiser=_organiser(event),
            repeats=event.get("RRULE") is not None,
            cancelled=is_cancelled or _line(event, "STATUS").upper() == "CANCELLED",
        )


def _has_end(event: Event) -> bool:
    return event.get("DTEND") is not None or event.get("DURATION") is not None


def _local(moment: datetime | date) -> datetime | date:
    """Return a moment in the office's time; one without a zone is local already."""
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=_ROME)
    return moment.astimezone(_ROME)


def _line(event: Event, name: str) -> str:
    return clean(str(event.get(name, "")))[:_CHARACTERS]


def _organiser(event: Event) -> str:
    """Return name and address of who invites."""
    organiser = event.get("ORGANIZER")
    if organiser is None:
        return ""
    address = clean(str(organiser))
    if address.lower().startswith("mailto:"):
        address = address[len("mailto:") :]
    name = clean(str(getattr(organiser, "params", {}).get("CN", "")))
    return f"{name} <{address}>"[:_CHARACTERS] if name else address[:_CHARACTERS]
