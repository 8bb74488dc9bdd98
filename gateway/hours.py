"""When an office is open: pure arithmetic on working time, in the city's own zone.

An office is open at an instant if the clock on its wall says so. Where that clock is
turned forward, the hour that it leaves out is no working time; where it is turned back,
the hour that it shows twice counts twice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

_DAY = timedelta(days=1)

_LONGEST_CLOSED: Final = 2 * 366
"""An office that is closed for so many days in a row does not open again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """From when to when an office is open on a day, as time since midnight.

    ``end`` is not in it; 24 hours is the end of the day.
    """

    start: timedelta
    end: timedelta


WHOLE_DAY: Final = Shift(start=timedelta(0), end=_DAY)

_Interval = tuple[datetime, datetime]


class Hours:
    """The opening hours of one office; every instant is aware, every answer in UTC."""

    def __init__(
        self, timezone: tzinfo, shifts: Callable[[date], Sequence[Shift]]
    ) -> None:
        """Be open on each day in its ``shifts``: in order, none into another."""
        self.timezone = timezone
        self._shifts = shifts
        self._on = lru_cache(maxsize=1024)(self._look_up)

    def is_open(self, at: datetime) -> bool:
        """Tell whether the office is open at an instant."""
        return any(start <= at < end for start, end in self._on(self._day(at)))

    def next_opening(self, at: datetime) -> datetime | None:
        """Return when the office is open again: ``at`` if it is; None if never."""
        start, _ = next(self._ahead(at), (None, None))
        return start

    def add(self, at: datetime, work: timedelta) -> datetime | None:
        """Return the instant by which the office has been open for ``work``.

        That may be the very moment in which it closes. None if it never is.
        """
        left = work
        if left <= timedelta(0):
            return at
        for start, end in self._ahead(at):
            if left <= end - start:
                return start + left
            left -= end - start
        return None

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return how long the office is open between two instants.

        Negative if the ``end`` comes first.
        """
        if end < start:
            return -self.between(end, start)
        total = timedelta(0)
        day, last = self._day(start), self._day(end)
        while day <= last:
            for opens, closes in self._on(day):
                total += max(timedelta(0), min(closes, end) - max(opens, start))
            day += _DAY
        return total

    def _day(self, at: datetime) -> date:
        return at.astimezone(self.timezone).date()

    def _ahead(self, at: datetime) -> Iterator[_Interval]:
        """Yield the times in which the office is open, from ``at`` on."""
        day, idle = self._day(at), 0
        while idle < _LONGEST_CLOSED:
            found = [(start, end) for start, end in self._on(day) if end > at]
            yield from ((max(start, at), end) for start, end in found)
            idle = 0 if found else idle + 1
            day += _DAY

    def _look_up(self, day: date) -> tuple[_Interval, ...]:
        shifts = self._shifts(day)
        found = [
            interval
            for stretch in (_stretches(day, self.timezone) if shifts else ())
            for shift in shifts
            if (interval := stretch.within(shift)) is not None
        ]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of a day in which the clock on the wall runs evenly.

    ``midnight``: when it would have been midnight by this clock.
    """

    start: datetime
    end: datetime
    midnight: datetime

    def within(self, shift: Shift) -> _Interval | None:
        start = max(self.start, self.midnight + shift.start)
        end = min(self.end, self.midnight + shift.end)
        return (start, end) if start < end else None


def _stretches(day: date, timezone: tzinfo) -> list[_Stretch]:
    """Cut a day where its clock is changed."""
    start, end = _midnight(day, timezone), _midnight(day + _DAY, timezone)

    def offset(seconds: int) -> timedelta:
        at = start + timedelta(seconds=seconds)
        return at.astimezone(timezone).utcoffset() or timedelta(0)

    length = int((end - start).total_seconds())
    before, after = offset(0), offset(length - 1)
    naive = datetime.combine(day, time.min, tzinfo=UTC)
    if before == after:
        return [_Stretch(start, end, naive - before)]
    change = bisect_left(range(length), True, key=lambda s: offset(s) != before)
    turned = start + timedelta(seconds=change)
    return [
        _Stretch(start, turned, naive - before),
        _Stretch(turned, end, naive - after),
    ]


def _midnight(day: date, timezone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone).astimezone(UTC)


ALWAYS: Final = Hours(UTC, lambda _: (WHOLE_DAY,))
"""The hours of an office that has none: every hour counts."""
