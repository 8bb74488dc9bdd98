"""Working time: through nights, weekends, holidays and changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hours import ALWAYS, WHOLE_DAY, Hours, Shift

ROME = ZoneInfo("Europe/Rome")
HOUR = timedelta(hours=1)


def at(text: str, *, fold: int = 0) -> datetime:
    """Return an instant by the clock in Rome."""
    local = datetime.fromisoformat(text).replace(tzinfo=ROME, fold=fold)
    return local.astimezone(UTC)


def shift(start: float, end: float) -> Shift:
    return Shift(start=start * HOUR, end=end * HOUR)


MORNING, AFTERNOON = shift(8.5, 13), shift(15, 17.5)
WEEK = (
    *((MORNING, AFTERNOON), (MORNING,), (MORNING,), (MORNING, AFTERNOON)),
    *((MORNING,), (), ()),
)
OFFICE = Hours(ROME, lambda day: WEEK[day.weekday()])
NIGHT = Hours(ROME, lambda _: (shift(0, 2.5), shift(2.75, 4)))
NEVER = Hours(ROME, lambda _: ())
WHOLE = Hours(ROME, lambda _: (WHOLE_DAY,))


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-29T22:00", "2026-11-30T08:30"),  # Sunday night
        ("2026-11-30T08:29", "2026-11-30T08:30"),
        ("2026-11-30T08:30", "2026-11-30T08:30"),  # open: now
        ("2026-11-30T12:59", "2026-11-30T12:59"),
        ("2026-11-30T13:00", "2026-11-30T15:00"),  # at noon it closes
        ("2026-11-30T17:30", "2026-12-01T08:30"),
        ("2026-12-04T13:00", "2026-12-07T08:30"),  # over the weekend
    ],
)
def test_next_opening(now, opens):
    """An office opens with its next shift; one that is open is open now."""
    assert at(opens) == OFFICE.next_opening(at(now))
    assert (now == opens) is OFFICE.is_open(at(now))


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-30T09:00", 1, "2026-11-30T10:00"),
        ("2026-11-30T12:00", 1, "2026-11-30T13:00"),  # as it closes
        ("2026-11-30T12:00", 2, "2026-11-30T16:00"),  # through noon
        ("2026-11-29T22:00", 7, "2026-11-30T17:30"),  # one day
        ("2026-11-29T22:00", 27.5, "2026-12-04T13:00"),  # one week
        ("2026-11-29T22:00", 28.5, "2026-12-07T09:30"),
        ("2026-11-28T10:00", 0, "2026-11-28T10:00"),
    ],
)
def test_adding_working_time(start, hours, end):
    """Nights, noons and weekends don't count."""
    assert at(end) == OFFICE.add(at(start), hours * HOUR)
    assert hours * HOUR == OFFICE.between(at(start), at(end))
    assert -hours * HOUR == OFFICE.between(at(end), at(start))


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_of_other_lengths(day, hours):
    """The day on which clocks change is an hour shorter, or longer."""
    start = at(day)
    end = at(f"{date.fromisoformat(day) + timedelta(days=1)}")

    assert hours * HOUR == WHOLE.between(start, end)
    assert end == WHOLE.add(start, hours * HOUR)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 3.75), ("2026-03-29", 3), ("2026-10-25", 4.5)]
)
def test_hours_in_the_change_of_the_clock(day, hours):
    """An hour that the clock leaves out has no work, one it shows twice has twice."""
    start = at(day)

    assert hours * HOUR == NIGHT.between(start, start + timedelta(hours=6))


def test_instants_around_the_change():
    """In spring it is three after two; in autumn, a shift can end and go on."""
    spring = at("2026-03-29T01:59:59")
    assert NIGHT.is_open(spring)
    assert NIGHT.is_open(spring + timedelta(seconds=1))  # 03:00
    autumn = [
        at(f"2026-10-25T02:{minute}", fold=fold)
        for fold in (0, 1)
        for minute in ("29", "30", "44", "45")
    ]
    assert [True, False, False, True] * 2 == [NIGHT.is_open(each) for each in autumn]
    assert at("2026-10-25T02:45") == NIGHT.next_opening(autumn[1])
    again = at("2026-10-25T02:00", fold=1)
    assert again == NIGHT.add(autumn[3], timedelta(minutes=15))


def test_a_gap_with_nothing_in_it():
    """Hours that fall wholly into the hour left out are none, and the next day has."""
    hours = Hours(ROME, lambda _: (shift(2, 3),))

    assert at("2026-03-30T02:00") == hours.next_opening(at("2026-03-28T03:00"))
    assert at("2026-03-30T02:30") == hours.add(at("2026-03-28T03:00"), HOUR / 2)


def test_an_office_that_never_opens():
    """It has no next opening, and nothing is ever due there; the search ends."""
    assert NEVER.next_opening(at("2026-01-01")) is None
    assert NEVER.add(at("2026-01-01"), HOUR) is None
    assert timedelta(0) == NEVER.between(at("2026-01-01"), at("2026-12-31"))


def test_always_open():
    """Without hours, every hour counts."""
    start = at("2026-12-24T18:00")

    assert start + 40 * HOUR == ALWAYS.add(start, 40 * HOUR)
    assert ALWAYS.is_open(start)


INSTANTS = st.datetimes(
    datetime(2024, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    datetime(2031, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
WORK = st.timedeltas(timedelta(0), timedelta(hours=200))
QUARTERS = st.lists(st.integers(0, 96), max_size=6, unique=True).map(sorted)
WEEKS = (
    st.lists(
        QUARTERS.map(
            lambda n: [
                shift(a / 4, b / 4) for a, b in zip(n[::2], n[1::2], strict=False)
            ]
        ),
        min_size=7,
        max_size=7,
    )
    .filter(any)
    .map(lambda week: Hours(ROME, lambda day: week[day.weekday()]))
)
CLOCK_CHANGES = st.sampled_from(
    [datetime(y, m, d, tzinfo=UTC) for y, m, d in ((2026, 3, 28), (2026, 10, 24))]
)
STARTS = INSTANTS | st.builds(
    lambda day, more: day + more,
    CLOCK_CHANGES,
    st.timedeltas(timedelta(0), timedelta(hours=50)),
)


@given(WEEKS, STARTS, WORK)
def test_what_is_added_is_measured(hours, start, work):
    """Between an instant and what lies so much work later is so much work."""
    assert work == hours.between(start, hours.add(start, work))


@given(WEEKS, STARTS, WORK.filter(bool))
def test_added_time_ends_in_working_time(hours, start, work):
    """The instant just before is one in which the office is open."""
    end = hours.add(start, work)

    assert hours.is_open(end - timedelta(microseconds=1))


@given(WEEKS, STARTS, STARTS, WORK, WORK)
def test_later_or_more_is_never_earlier(hours, start, other, work, more):
    """Adding is monotonic in both: in the start, and in the work."""
    first, last = sorted([start, other])

    assert hours.add(first, work) <= hours.add(last, work)
    assert hours.add(start, work) <= hours.add(start, work + more)


@given(WEEKS, STARTS, STARTS, STARTS)
def test_working_time_adds_up(hours, start, middle, end):
    """Whatever lies between, the parts make the whole."""
    total = hours.between(start, middle) + hours.between(middle, end)

    assert total == hours.between(start, end)


@given(WEEKS, STARTS)
def test_next_opening_is_the_first(hours, start):
    """Then it is open, and until then it isn't."""
    opens = hours.next_opening(start)

    assert hours.is_open(opens)
    assert opens >= start
    assert timedelta(0) == hours.between(start, opens)


@given(WEEKS, STARTS)
def test_open_is_what_the_clock_on_the_wall_says(hours, start):
    """Whatever the clock has been turned by, only what it shows counts."""
    local = start.astimezone(ROME)
    since = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    since += timedelta(microseconds=local.microsecond)
    shifts = hours._shifts(date(local.year, local.month, local.day))

    expected = any(each.start <= since < each.end for each in shifts)
    assert expected is hours.is_open(start)
