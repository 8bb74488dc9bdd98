"""When the city's offices are open, by the configuration and the public holidays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from gateway.config import Settings
from gateway.config.hours import HoursSection, ServiceHours, patron_of, shift_of
from gateway.deadlines import Deadlines, Rule
from gateway.hours import Hours, Shift
from gateway.model import ServiceId


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of one office: the city's rules, and its own above them."""

    city: HoursSection
    own: ServiceHours

    def shifts(self, day: date) -> Sequence[Shift]:
        """Return from when to when the office is open on a day.

        What is said of a day comes before what is said of every such day, and what
        the office says of itself before what the city says of all.
        """
        for rules in (self.own, self.city):
            for opening in rules.openings:
                if opening.day == day:
                    return [shift_of(text) for text in opening.hours]
            if any(closure.covers(day) for closure in rules.closures):
                return ()
        if self._is_holiday(day):
            return ()
        return (self.own.week() or self.city.week())[day.weekday()]

    def _is_holiday(self, day: date) -> bool:
        city = self.city
        if city.patron is not None and (day.month, day.day) == patron_of(city.patron):
            return True
        return day in _holidays(city.country, city.subdivision, day.year)


@cache
def _holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    """Return the public holidays of a year."""
    import holidays  # noqa: PLC0415 (a tenth of a second, and few start-ups need it)

    return frozenset(holidays.country_holidays(country, subdivision, years=year))


def hours_of(settings: Settings) -> dict[ServiceId | None, Hours]:
    """Return the hours of each service that has any; under None, the city's."""
    timezone = ZoneInfo(settings.gateway.timezone)
    sections: Mapping[ServiceId | None, ServiceHours] = {
        None: ServiceHours(),
        **{key: each.hours for key, each in settings.services.items()},
    }
    return {
        key: Hours(timezone, Calendar(settings.hours, own).shifts)
        for key, own in sections.items()
        if own.week() or settings.hours.week()
    }


def deadlines_of(settings: Settings) -> Deadlines:
    """Return the rules of the services that have a deadline."""
    rules = {
        key: each.over(settings.deadlines) for key, each in settings.services.items()
    }
    return Deadlines(
        rules={
            key: Rule(
                within=timedelta(hours=rule.deadline_hours),
                remind_before=_hours(rule.remind_before_hours),
                escalate_to=rule.escalate_to,
            )
            for key, rule in rules.items()
            if rule.deadline_hours is not None
        },
        hours=hours_of(settings),
    )


def _hours(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(hours=number)
