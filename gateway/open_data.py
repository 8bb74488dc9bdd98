"""Cases as open data, in which nobody can be recognised.

A row is a case: its month, channel, service, district and state, and in how many days
it was answered and closed. Never a number, a text, an address, a position, or a date.
Of each combination of month, channel, service and district there are the cases of so
many people at least: however many one of them has, they don't stand alone. Where there
are fewer, the district is hidden, then the channel, then the service; what is rare even
then is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final

import orjson

from gateway.figures import Course

HIDDEN: Final = "*"
"""Stands for what would make a case one of few."""

_SPANS: Final = ((1, "0-1"), (3, "1-3"), (7, "3-7"), (30, "7-30"), (90, "30-90"))
_LONGER: Final = "90+"
_HIDDEN_FIRST: Final = ("district", "channel", "service")


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A case that tells of nobody."""

    month: str
    channel: str
    service: str
    district: str
    state: str
    days_to_answer: str
    days_to_close: str

    @property
    def group(self) -> tuple[str, str, str, str]:
        """Return what somebody could know of a case beforehand."""
        return self.month, self.channel, self.service, self.district


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenData:
    """The rows, sorted so that their order tells nothing; how many were left out."""

    rows: tuple[Row, ...]
    left_out: int


def row_of(course: Course, timezone: tzinfo) -> Row:
    """Return a case's row, its times coarse already."""
    local = course.opened_at.astimezone(timezone)
    return Row(
        month=f"{local:%Y-%m}",
        channel=course.channel,
        service=course.service,
        district=_district(course.body),
        state=course.status,
        days_to_answer=_span(course.opened_at, course.answered_at),
        days_to_close=_span(course.opened_at, course.closed_at),
    )


def anonymous(rows: Iterable[tuple[Row, str]], least: int) -> OpenData:
    """Hide what would make somebody one of fewer than ``least``.

    Each row comes with whose case it is.
    """
    kept = list(rows)
    for column in _HIDDEN_FIRST:
        kept = _hide(kept, column, least)
    people = _people(kept)
    safe = sorted(row for row, _ in kept if people[row.group] >= least)
    return OpenData(rows=tuple(safe), left_out=len(kept) - len(safe))


def _hide(
    rows: Sequence[tuple[Row, str]], column: str, least: int
) -> list[tuple[Row, str]]:
    people = _people(rows)
    return [
        (row if people[row.group] >= least else replace(row, **{column: HIDDEN}), whose)
        for row, whose in rows
    ]


def _people(rows: Iterable[tuple[Row, str]]) -> Counter[tuple[str, ...]]:
    """Return of how many people the cases of each combination are."""
    return Counter(group for group, _ in {(row.group, whose) for row, whose in rows})


def _district(body: str | None) -> str:
    location = orjson.loads(body).get("location") if body else None
    return str(location.get("district") or "") if location else ""


def _span(start: datetime, end: datetime | None) -> str:
    if end is None:
        return ""
    days = (end - start) / timedelta(days=1)
    return next((words for bound, words in _SPANS if days < bound), _LONGER)
