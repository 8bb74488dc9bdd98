"""When a closed office opens again, as one says it to a citizen."""

from __future__ import annotations

from datetime import datetime

from gateway import texts
from gateway.hours import Hours
from gateway.texts import Texts

_WEEK = 7


def reopening(words: Texts, hours: Hours | None, at: datetime) -> str:
    """Say when an office opens again; "" if it is open, or nothing is known."""
    opens = hours.next_opening(at) if hours is not None else None
    if hours is None or opens is None or opens == at:
        return ""
    local, today = (each.astimezone(hours.timezone) for each in (opens, at))
    days = (local.date() - today.date()).days
    if days < len(_NEAR):
        text, day = _NEAR[days], ""
    else:
        text = texts.OPENS_ON
        form = _WEEKDAY if days < _WEEK else words.say(texts.DAY_FORMAT)
        day = _written(local, form, words.language)
    return words.say(text, day=day, time=_written(local, _TIME, words.language))


_NEAR = (texts.OPENS_TODAY, texts.OPENS_TOMORROW)
_WEEKDAY = "EEEE"
_TIME = "H:mm"


def _written(at: datetime, form: str, language: str) -> str:
    from babel.dates import format_datetime  # noqa: PLC0415 (only who is closed needs it)

    return format_datetime(at, form, locale=language)
