"""How a citizen is told when an office opens again."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.hours import Hours, Shift
from gateway.opening import reopening
from gateway.texts import Texts

ROME = ZoneInfo("Europe/Rome")
HOUR = timedelta(hours=1)
HOLIDAYS = {date(2026, 12, 24) + timedelta(days=n) for n in range(14)}
SHIFTS = (Shift(start=9 * HOUR, end=13 * HOUR), Shift(start=15.5 * HOUR, end=17 * HOUR))


def _shifts(day: date) -> tuple[Shift, ...]:
    return () if day.weekday() >= 5 or day in HOLIDAYS else SHIFTS


OFFICE = Hours(ROME, _shifts)


@pytest.mark.parametrize(
    ("at", "italian", "english"),
    [
        ("2026-11-30T10:00", "", ""),
        ("2026-11-30T00:10", "oggi alle 9:00", "today at 9:00"),
        ("2026-11-30T13:00", "oggi alle 15:30", "today at 15:30"),
        ("2026-11-29T22:00", "domani alle 9:00", "tomorrow at 9:00"),
        ("2026-11-28T22:00", "lunedì alle 9:00", "on Monday at 9:00"),
        ("2026-12-04T17:00", "lunedì alle 9:00", "on Monday at 9:00"),
        (
            "2026-12-23T17:00",
            "giovedì 7 gennaio alle 9:00",
            "on Thursday 7 January at 9:00",
        ),
        ("2027-01-01T12:00", "giovedì alle 9:00", "on Thursday at 9:00"),
    ],
)
def test_when_it_opens_again(at, italian, english):
    """Today, tomorrow, a weekday, or a date if it is more than a week."""
    now = datetime.fromisoformat(at).replace(tzinfo=ROME)

    told = {lang: reopening(Texts(lang), OFFICE, now) for lang in ("it", "en")}
    closed = {
        "it": f"L'ufficio è chiuso; riapre {italian}.",
        "en": f"The office is closed; it opens again {english}.",
    }
    assert (closed if italian else dict.fromkeys(closed, "")) == told


def test_night_of_the_changed_clock():
    """Tomorrow is the next day of the calendar, though it is a shorter one."""
    office = Hours(ROME, lambda _: SHIFTS)
    now = datetime(2026, 3, 28, 23, 30, tzinfo=ROME)

    assert "domani alle 9:00." in reopening(Texts("it"), office, now)


def test_nothing_is_said_of_what_is_not_known():
    """Without hours, or if an office never opens, a notice is what it was."""
    never = Hours(ROME, lambda _: ())
    now = datetime(2026, 3, 28, tzinfo=ROME)

    assert ["", ""] == [reopening(Texts("it"), each, now) for each in (None, never)]
