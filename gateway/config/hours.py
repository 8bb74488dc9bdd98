"""``[hours]``, ``[deadlines]`` and their like of each service: when offices work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.config.base import Section
from gateway.config.references import ServiceReference
from gateway.hours import Shift

DAYS = (
    *("monday", "tuesday", "wednesday", "thursday"),
    *("friday", "saturday", "sunday"),
)
"""The keys of a week, in its order."""

_SHIFT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)")
_EXAMPLE = "08:30-13:00"
_LEAP_YEAR = 2000
_Hours = Annotated[float, Field(gt=0, le=24 * 366)]


def shift_of(text: str) -> Shift:
    """Return the opening hours that ``08:30-13:00`` means; 24:00 ends a day.

    Raises:
        ValueError: it means none.

    """
    match = _SHIFT.fullmatch(text)
    numbers = [int(number) for number in match.groups()] if match else [0] * 4
    start = timedelta(hours=numbers[0], minutes=numbers[1])
    end = timedelta(hours=numbers[2], minutes=numbers[3])
    if not start < end <= timedelta(days=1):
        raise ValueError(f"from when to when on one day, e.g. {_EXAMPLE}")
    return Shift(start=start, end=end)


def _shift(text: str) -> str:
    shift_of(text)
    return text


def _in_order(texts: tuple[str, ...]) -> tuple[str, ...]:
    shifts = [shift_of(text) for text in texts]
    if any(after.start < before.end for before, after in pairwise(shifts)):
        raise ValueError("hours in order, none of them into another")
    return texts


Shifts = Annotated[
    tuple[
        Annotated[
            str,
            AfterValidator(_shift),
            Field(json_schema_extra={"pattern": f"^{_SHIFT.pattern}$"}),
        ],
        ...,
    ],
    AfterValidator(_in_order),
]
"""The opening hours of a day: ``["08:30-13:00", "15:00-17:30"]``."""


class Closure(Section):
    """Days on which an office is closed."""

    first: date
    """First day."""

    last: date | None = None
    """Last day; without it, the first is the only one."""

    reason: str = ""
    """Why, for whoever reads the configuration."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError("a last day that is not before the first")
        return self

    def covers(self, day: date) -> bool:
        """Tell whether a day is one of them."""
        return self.first <= day <= (self.last or self.first)


class Opening(Section):
    """A day with hours of its own, whatever day of the week it is."""

    day: date
    """The day."""

    hours: Annotated[Shifts, Field(min_length=1)]
    """From when to when, e.g. ``["09:00-12:00"]``."""


def _each_day_once(openings: tuple[Opening, ...]) -> tuple[Opening, ...]:
    days = [opening.day for opening in openings]
    twice = sorted({f"{day}" for day in days if days.count(day) > 1})
    if twice:
        raise ValueError(f"each day once; more than once: {', '.join(twice)}")
    return openings


class ServiceHours(Section):
    """``[services.<id>.hours]``: hours of an office that differ from the city's."""

    monday: Shifts = ()
    """From when to when, e.g. ``["08:30-13:00", "15:00-17:30"]``."""

    tuesday: Shifts = ()
    """As for Monday."""

    wednesday: Shifts = ()
    """As for Monday."""

    thursday: Shifts = ()
    """As for Monday."""

    friday: Shifts = ()
    """As for Monday."""

    saturday: Shifts = ()
    """As for Monday."""

    sunday: Shifts = ()
    """As for Monday."""

    closures: tuple[Closure, ...] = ()
    """Days on which it is closed, e.g. ``[{ first = 2026-08-10 }]``."""

    openings: Annotated[tuple[Opening, ...], AfterValidator(_each_day_once)] = ()
    """Days with hours: ``[{ day = 2026-12-05, hours = ["09:00-12:00"] }]``."""

    def week(self) -> tuple[tuple[Shift, ...], ...]:
        """Return the hours of each day of the week; () if no day has any."""
        days: list[Sequence[str]] = [getattr(self, day) for day in DAYS]
        found = tuple(tuple(shift_of(text) for text in day) for day in days)
        return found if any(found) else ()


class HoursSection(ServiceHours):
    """``[hours]``: when the city's offices are open; without it, nothing is said."""

    country: str = "IT"
    """Whose public holidays are kept: a code of ISO 3166."""

    subdivision: str | None = None
    """Part of the country with holidays of its own: in Italy the province, e.g. CA."""

    patron: str | None = None
    """Day of the patron saint as month-day, e.g. ``10-30``."""

    @field_validator("country")
    @classmethod
    def _check_country(cls, country: str) -> str:
        known = _subdivisions()
        if country not in known:
            raise ValueError("the code of a country with known holidays, e.g. IT")
        return country

    @field_validator("subdivision")
    @classmethod
    def _check_subdivision(cls, part: str | None, info: ValidationInfo) -> str | None:
        known = _subdivisions().get(info.data.get("country", ""))
        if part is not None and known is not None and part not in known:
            text = ", ".join(known) or "none has holidays of its own"
            raise ValueError(f"one of: {text}")
        return part

    @field_validator("patron")
    @classmethod
    def _check_patron(cls, patron: str | None) -> str | None:
        if patron is not None:
            patron_of(patron)
        return patron

    @model_validator(mode="after")
    def _check_week(self) -> Self:
        if self.model_fields_set and not self.week():
            raise ValueError(f'hours on one day at least, e.g. monday = ["{_EXAMPLE}"]')
        return self


def patron_of(text: str) -> tuple[int, int]:
    """Return the month and the day that ``10-30`` means.

    Raises:
        ValueError: there is no such day.

    """
    try:
        day = datetime.strptime(f"{_LEAP_YEAR}-{text}", "%Y-%m-%d")  # noqa: DTZ007 (a day)
    except ValueError:
        raise ValueError("a day as month-day, e.g. 10-30") from None
    return day.month, day.day


def _subdivisions() -> Mapping[str, Sequence[str]]:
    """Return the parts of each country that have holidays of their own."""
    import holidays  # noqa: PLC0415 (slow to load, and few need it)

    return holidays.list_supported_countries()


class DeadlineKeys(Section):
    """By when a case must be answered, and who is told if it is not."""

    deadline_hours: _Hours | None = None
    """Working hours within which a case must be answered."""

    remind_before_hours: _Hours | None = None
    """The service is reminded so many working hours before the deadline."""

    escalate_to: ServiceReference | None = None
    """The service that is told when the deadline has passed."""

    def over(self, default: DeadlineKeys) -> DeadlineKeys:
        """Return these keys, and the default's where nothing is said."""
        both = {
            key: mine if (mine := getattr(self, key)) is not None else theirs
            for key in DeadlineKeys.model_fields
            for theirs in [getattr(default, key)]
        }
        return DeadlineKeys.model_construct(**both)


class DeadlinesSection(DeadlineKeys):
    """``[deadlines]``: what holds for every service that says nothing else."""
