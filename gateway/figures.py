"""Figures for the office: how much comes in, how fast it is answered, what is open.

Everything is only read, row by row. Messages are found by their ids, which sort by the
time of birth.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import Connection, Select, func, or_, select

from gateway.hours import ALWAYS, Hours
from gateway.model import Author, CaseStatus, ServiceId
from gateway.store import schema
from gateway.store.schema import to_microseconds

AGES: Final = (1, 3, 7, 14, 30, 90)
"""The bounds, in days, by which open cases are counted."""

_BATCH = 2000
_MARGIN = timedelta(days=1)
_SETTLED: Final = ("case.answered", "case.closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From ``start`` up to, and without, ``end``, in the city's own time."""

    start: datetime
    end: datetime
    timezone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """How many hours something took in ``count`` cases: in half, in nine of ten."""

    count: int
    median: float
    ninety: float


@dataclass(slots=True, kw_only=True)
class Figures:
    """What the messages and cases of a period come to.

    ``answered`` and ``closed`` hold a spell for each service, and one under None for
    all. ``backlog`` counts the cases that are open at the end, by service and by which
    of `AGES` they are younger than; infinity for older ones.
    """

    by_channel: Counter[str] = field(default_factory=Counter)
    by_service: Counter[str] = field(default_factory=Counter)
    by_hour: Counter[int] = field(default_factory=Counter)
    by_weekday: Counter[int] = field(default_factory=Counter)
    by_state: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    answered: dict[str | None, Spell] = field(default_factory=dict)
    closed: dict[str | None, Spell] = field(default_factory=dict)
    backlog: Counter[tuple[str, float]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What became of a case: when it was opened, first answered, and closed.

    ``contact_id`` is whose conversation it is in; they may have become another since.
    """

    contact_id: str
    service: ServiceId
    channel: str
    status: str
    opened_at: datetime
    answered_at: datetime | None
    closed_at: datetime | None
    body: str | None = None


def read(
    connection: Connection, period: Period, hours: Mapping[ServiceId | None, Hours]
) -> Figures:
    """Read the figures of a period; durations in the hours of each service.

    Under None, ``hours`` holds those of the city; without any, every hour counts.
    """
    found = Figures()
    _count_messages(connection, period, found)
    _count_verdicts(connection, period, found)
    _measure(courses(connection, period), found, hours)
    _count_backlog(connection, period, found)
    return found


def _born(at: datetime) -> str:
    """Return what the id of everything born since ``at`` is not less than."""
    text = f"{max(0, to_microseconds(at)) // 1000:012x}"
    return f"{text[:8]}-{text[8:]}"


def _stream(connection: Connection, statement: Select[Any]) -> Iterator[Any]:
    """Yield rows as they come: a year of them need not fit into memory."""
    options = {"yield_per": _BATCH}
    yield from connection.execute(statement, execution_options=options)


def _count_messages(connection: Connection, period: Period, found: Figures) -> None:
    message, cases = schema.message, schema.cases
    statement = (
        select(
            message.c.created_at, message.c.channel, message.c.state, cases.c.service
        )
        .outerjoin(cases, cases.c.id == message.c.case_id)
        .where(
            message.c.id >= _born(period.start - _MARGIN),
            message.c.id < _born(period.end + _MARGIN),
            message.c.created_at >= period.start,
            message.c.created_at < period.end,
            message.c.author == Author.CITIZEN.value,
        )
    )
    for row in _stream(connection, statement):
        local = row.created_at.astimezone(period.timezone)
        found.by_channel[row.channel] += 1
        found.by_state[row.state] += 1
        found.by_hour[local.hour] += 1
        found.by_weekday[local.weekday()] += 1
        if row.service is not None:
            found.by_service[row.service] += 1


def _count_verdicts(connection: Connection, period: Period, found: Figures) -> None:
    verdict, message = schema.verdict, schema.message
    rows = connection.execute(
        select(verdict.c.action, verdict.c.rule, func.count())
        .join(message, message.c.id == verdict.c.message_id)
        .where(
            verdict.c.message_id >= _born(period.start - _MARGIN),
            verdict.c.message_id < _born(period.end + _MARGIN),
            message.c.created_at >= period.start,
            message.c.created_at < period.end,
        )
        .group_by(verdict.c.action, verdict.c.rule)
    )
    for action, rule, count in rows:
        found.verdicts[action, rule] += count


def courses(
    connection: Connection, period: Period, *, bodies: bool = False
) -> Iterator[Course]:
    """Yield what became of each case that was opened in a period.

    With ``bodies``, also what its citizen said first. Cases that went on in others are
    told of there.
    """
    cases, event, conversation = schema.cases, schema.event, schema.conversation
    answered = (
        select(func.min(event.c.at))
        .where(event.c.subject == cases.c.id, event.c.action.in_(_SETTLED))
        .scalar_subquery()
    )
    columns = [
        *(cases.c.service, cases.c.status, cases.c.opened_at, cases.c.closed_at),
        conversation.c.channel,
        conversation.c.contact_id,
        answered.label("answered_at"),
    ]
    if bodies:
        columns.append(_first_body().label("body"))
    statement = (
        select(*columns)
        .join(conversation, conversation.c.id == cases.c.conversation_id)
        .where(
            cases.c.opened_at >= period.start,
            cases.c.opened_at < period.end,
            cases.c.merged_into.is_(None),
        )
        .order_by(cases.c.opened_at)
    )
    for row in _stream(connection, statement):
        yield Course(
            contact_id=row.contact_id,
            service=ServiceId(row.service),
            channel=row.channel,
            status=row.status,
            opened_at=row.opened_at,
            answered_at=row.answered_at,
            closed_at=row.closed_at,
            body=row.body if bodies else None,
        )


def _first_body() -> Any:
    message, cases = schema.message, schema.cases
    return (
        select(message.c.body)
        .where(
            message.c.case_id == cases.c.id, message.c.author == Author.CITIZEN.value
        )
        .order_by(message.c.id)
        .limit(1)
        .scalar_subquery()
    )


def _measure(
    found_courses: Iterable[Course],
    found: Figures,
    hours: Mapping[ServiceId | None, Hours],
) -> None:
    answered: dict[str | None, list[float]] = defaultdict(list)
    closed: dict[str | None, list[float]] = defaultdict(list)
    every = hours.get(None, ALWAYS)
    for course in found_courses:
        found.opened[course.service] += 1
        of = hours.get(course.service) or every
        for ends, at in ((answered, course.answered_at), (closed, course.closed_at)):
            if at is not None:
                took = of.between(course.opened_at, at) / timedelta(hours=1)
                ends[course.service].append(took)
                ends[None].append(took)
    found.answered = {key: _spell(each) for key, each in answered.items()}
    found.closed = {key: _spell(each) for key, each in closed.items()}


def _spell(took: Sequence[float]) -> Spell:
    ordered = sorted(took)
    # The nearest rank: a duration that there was, also of few.
    ninety = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return Spell(count=len(ordered), median=statistics.median(ordered), ninety=ninety)


def _count_backlog(connection: Connection, period: Period, found: Figures) -> None:
    """Count what was open at the end of the period, also of what came before it."""
    cases = schema.cases
    statement = select(cases.c.service, cases.c.opened_at).where(
        cases.c.opened_at < period.end,
        or_(
            cases.c.status != CaseStatus.CLOSED.value,
            cases.c.closed_at >= period.end,
        ),
        cases.c.merged_into.is_(None),
    )
    for row in _stream(connection, statement):
        days = (period.end - row.opened_at) / timedelta(days=1)
        bound = next((bound for bound in AGES if days < bound), math.inf)
        found.backlog[row.service, bound] += 1
