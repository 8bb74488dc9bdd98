"""Which days an office works: weekdays, holidays, the patron saint, closures."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.calendars import Calendar
from gateway.config.hours import Closure, HoursSection, Opening, ServiceHours
from gateway.hours import Hours

CITY = HoursSection(
    **dict.fromkeys(
        ("monday", "tuesday", "wednesday", "thursday", "friday"), ("09:00-13:00",)
    ),
    subdivision="CA",
    closures=(Closure(first=date(2026, 8, 10), last=date(2026, 8, 14)),),
    openings=(Opening(day=date(2026, 12, 5), hours=("10:00-12:00",)),),
)
BARE = ServiceHours()


def hours_on(day: str, own: ServiceHours = BARE, city: HoursSection = CITY) -> float:
    """Return how many hours an office works on a day."""
    shifts = Calendar(city, own).shifts(date.fromisoformat(day))
    return sum((each.end - each.start) / timedelta(hours=1) for each in shifts)


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        ("2026-11-30", 4),
        ("2026-11-29", 0),  # Sunday
        ("2026-12-08", 0),  # the Immaculate Conception
        ("2026-04-06", 0),  # Easter Monday
        ("2027-03-29", 0),  # Easter Monday, a year later
        ("2026-10-30", 0),  # San Saturnino, of Cagliari only
        ("2026-08-10", 0),
        ("2026-08-14", 0),
        ("2026-08-17", 4),
        ("2026-12-05", 2),  # a Saturday with hours of its own
    ],
)
def test_days_of_the_city(day, hours):
    """Weekdays, the holidays of the province, closures and extra openings."""
    assert hours == hours_on(day)


def test_holidays_elsewhere():
    """Another city has another patron saint: its province's, or the one it names."""
    milan = CITY.model_copy(update={"subdivision": "MI"})
    town = CITY.model_copy(update={"subdivision": None, "patron": "07-16"})

    assert [0, 4] == [hours_on(day, city=milan) for day in ("2026-12-07", "2026-10-30")]
    assert [0, 4] == [hours_on(day, city=town) for day in ("2026-07-16", "2026-10-30")]


def test_a_service_of_its_own():
    """A week of its own replaces the city's; holidays and closures hold for it too."""
    own = ServiceHours(
        saturday=("09:00-11:00",),
        closures=(Closure(first=date(2026, 11, 28)),),
        openings=(Opening(day=date(2026, 8, 11), hours=("09:00-10:00",)),),
    )

    days = ["2026-11-21", "2026-11-30", "2026-11-28", "2026-08-11", "2026-08-15"]
    assert [2, 0, 0, 1, 0] == [hours_on(day, own) for day in days]


def test_closed_beats_what_the_city_opens():
    """What a service says of a day comes before what the city says of it."""
    own = ServiceHours(closures=(Closure(first=date(2026, 12, 5)),))

    assert [0, 2] == [hours_on("2026-12-05", own), hours_on("2026-12-05")]


def test_over_christmas():
    """Working time goes round holidays and the new year."""
    rome = ZoneInfo("Europe/Rome")
    hours = Hours(rome, Calendar(CITY, BARE).shifts)

    start = datetime(2026, 12, 24, 12, tzinfo=rome)
    assert datetime(2026, 12, 28, 12, tzinfo=rome) == hours.add(
        start, timedelta(hours=4)
    )
    assert datetime(2027, 1, 4, 9, tzinfo=rome) == hours.next_opening(
        datetime(2026, 12, 31, 13, tzinfo=rome)
    )
