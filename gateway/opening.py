"""When a closed office opens again, as one says it to a citizen."""

from __future__ import annotations

from datetime import datetime

from gateway import texts
from gateway.hours import Hours
from gateway.texts import Texts

_NEAR = (texts.OPENS_TODAY, texts.OPENS_TOMORROW)
_WEEK = 7


def reopening(words: Texts, hours: Hours | None, at: datetime) -> str:
    """Say when an office opens again; "" if it is open, or nothing is known."""
    opens = hours.next_opening(at) if hours is not None else None
    if hours is None or opens is None or opens == at:
        return ""
    local, today = (each.astimezone(hours.timezone) for each in (opens, at))
    days = (local.date() - today.date()).days
    time = words.time(local)
    if days < len(_NEAR):
        return words.say(_NEAR[days], time=time)
    day = words.weekday(local) if days < _WEEK else words.day(local)
    return words.say(texts.OPENS_ON, day=day, time=time)
