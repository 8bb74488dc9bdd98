"""Cases: numbers without gaps or doubles, and which case a message belongs to."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from itertools import islice
from string import Formatter
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway import audit, identity
from gateway.model import Case, CaseId, CaseStatus, Event, ServiceId
from gateway.store import schema
from gateway.store.prepared import Insertion, Prepared

_MOST_NUMBERS = 5
"""How many numbers in a subject are looked up."""


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """How cases are numbered: a format with ``year`` and ``number``, by local year."""

    pattern: str
    timezone: tzinfo

    def find(self, text: str) -> list[str]:
        """Return the numbers that a text names, however it writes the letters."""
        found = self._form.finditer(text)
        named = [
            self.pattern.format(year=int(each["year"]), number=int(each["number"]))
            for each in islice(found, _MOST_NUMBERS)
        ]
        return list(dict.fromkeys(named))

    @cached_property
    def _form(self) -> re.Pattern[str]:
        places = {"year": r"(?P<year>\d{4})", "number": r"(?P<number>\d{1,9})"}
        pieces = Formatter().parse(self.pattern)
        form = "".join(
            re.escape(text) + places.get(name or "", "") for text, name, _, _ in pieces
        )
        return re.compile(rf"(?<![\w-]){form}(?![\w-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """A message that needs a case: in which conversation, for which service.

    ``case_id`` is the case of the message that it answers, if it answers one; a new
    case ``waits`` if the citizen is asked what it is about.
    """

    conversation_id: str
    service: ServiceId
    at: datetime
    case_id: str | None = None
    waits: bool = False


_BEGIN = {
    "sqlite": sqlite.insert(schema.counter).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(schema.counter).on_conflict_do_nothing(),
}
_ADVANCE = (
    update(schema.counter)
    .where(schema.counter.c.name == bindparam("counter"))
    .values(value=schema.counter.c.value + bindparam("step"))
    .returning(schema.counter.c.value)
)
_INSERT = Insertion(schema.cases)
_TOUCH = Prepared(
    update(schema.cases)
    .where(schema.cases.c.id == bindparam("known"))
    .values(last_message_at=bindparam("at"))
)


def assign_cases(
    connection: Connection,
    matters: Sequence[Matter],
    numbering: Numbering,
    join: timedelta,
) -> list[tuple[Case, bool]]:
    """Return each matter's case, and whether it is a new one.

    A message joins the case of the message that it answers; else the open case of its
    conversation, if the last message of that case is not older than ``join``.
    """
    named = _answered(connection, matters)
    rest = [m for m in matters if m.case_id not in named]
    known = _open_cases(connection, rest, join) if rest else {}
    newcomers = [m for m in rest if m.conversation_id not in known]
    opened = _open(connection, newcomers, numbering)
    new_ids = {case.id for case in opened.values()}
    every = {**known, **opened}
    found = [
        named[m.case_id] if m.case_id in named else every[m.conversation_id]
        for m in matters
    ]
    joined = [
        {"known": case.id, "at": matter.at}
        for case, matter in zip(found, matters, strict=True)
        if case.id not in new_ids
    ]
    if joined:
        _TOUCH.execute(connection, joined)
    return [(case, case.id in new_ids and _first(new_ids, case)) for case in found]


def _answered(
    connection: Connection, matters: Sequence[Matter]
) -> dict[str | None, Case]:
    """Return the cases that matters answer to, as far as they are open."""
    ids = {matter.case_id for matter in matters if matter.case_id is not None}
    found = load(connection, ids)
    return {c.id: c for c in found.values() if c.status is not CaseStatus.CLOSED}


def _first(new_ids: set[CaseId], case: Case) -> bool:
    """Count a new case as new once: later messages of the batch join it."""
    new_ids.discard(case.id)
    return True


def _open_cases(
    connection: Connection, matters: Sequence[Matter], join: timedelta
) -> dict[str, Case]:
    table = schema.cases
    since = min(matter.at for matter in matters) - join
    rows = connection.execute(
        select(table)
        .where(
            table.c.conversation_id.in_({m.conversation_id for m in matters}),
            table.c.last_message_at >= since,
            table.c.status != CaseStatus.CLOSED.value,
        )
        .order_by(table.c.last_message_at)
    )
    return {row.conversation_id: from_row(row) for row in rows}


def _open(
    connection: Connection, matters: Sequence[Matter], numbering: Numbering
) -> dict[str, Case]:
    """Open one case a conversation, numbered in the order of arrival."""
    firsts: dict[str, Matter] = {}
    for matter in matters:
        firsts.setdefault(matter.conversation_id, matter)
    numbers = _numbers(connection, list(firsts.values()), numbering)
    opened = {
        matter.conversation_id: Case(
            id=CaseId(identity.new_id()),
            number=number,
            service=matter.service,
            status=CaseStatus.WAITING if matter.waits else CaseStatus.ASSIGNED,
            opened_at=matter.at,
        )
        for matter, number in zip(firsts.values(), numbers, strict=True)
    }
    if opened:
        rows = [_row(case, conversation) for conversation, case in opened.items()]
        _INSERT.execute(connection, rows)
    return opened


def _row(case: Case, conversation_id: str) -> dict[str, Any]:
    return {
        "id": case.id,
        "number": case.number,
        "conversation_id": conversation_id,
        "service": case.service,
        "status": case.status.value,
        "opened_at": case.opened_at,
        "last_message_at": case.opened_at,
    }


def _numbers(
    connection: Connection, matters: Sequence[Matter], numbering: Numbering
) -> list[str]:
    """Take the next numbers; the transaction that fails gives them back."""
    years = [matter.at.astimezone(numbering.timezone).year for matter in matters]
    next_of = {
        year: _advance(connection, f"case-{year}", years.count(year))
        for year in sorted(set(years))
    }
    numbers = []
    for year in years:
        numbers.append(numbering.pattern.format(year=year, number=next_of[year]))
        next_of[year] += 1
    return numbers


def _advance(connection: Connection, counter: str, step: int) -> int:
    """Advance a counter by ``step``; return the first number taken."""
    values = {"counter": counter, "step": step}
    last = connection.execute(_ADVANCE, values).scalar_one_or_none()
    if last is None:
        # Another writer may be at the same: PostgreSQL waits for whoever was first.
        row = {"name": counter, "value": 0}
        connection.execute(_BEGIN[connection.dialect.name], row)
        last = connection.execute(_ADVANCE, values).scalar_one()
    return int(last) - step + 1


def from_row(row: Any) -> Case:
    """Return the case of a row of the table `cases`."""
    return Case(
        id=CaseId(row.id),
        number=row.number,
        service=ServiceId(row.service),
        status=CaseStatus(row.status),
        opened_at=row.opened_at,
    )


def load(connection: Connection, case_ids: Collection[str]) -> dict[str, Case]:
    """Return cases by their ids."""
    if not case_ids:
        return {}
    table = schema.cases
    rows = connection.execute(select(table).where(table.c.id.in_(case_ids)))
    return {row.id: from_row(row) for row in rows}


def end_waiting(connection: Connection, case: Case) -> None:
    """Note that a case went to its service without its citizen's choice."""
    table = schema.cases
    ended = connection.execute(
        update(table)
        .where(table.c.id == case.id, table.c.status == CaseStatus.WAITING.value)
        .values(status=CaseStatus.ASSIGNED.value)
    )
    if ended.rowcount == 1:
        event = Event(
            action="case.settled",
            subject=case.id,
            actor="gateway",
            data={"from": case.service, "to": case.service},
        )
        audit.record(connection, event)


def mark_answered(connection: Connection, case_ids: Sequence[str]) -> None:
    """Note that the service has answered; a closed case stays closed."""
    table = schema.cases
    connection.execute(
        update(table)
        .where(table.c.id.in_(case_ids), table.c.status != CaseStatus.CLOSED.value)
        .values(status=CaseStatus.ANSWERED.value)
    )


def close(connection: Connection, case: Case, *, by: str) -> bool:
    """Close a case; False if it was closed already."""
    table = schema.cases
    closed = connection.execute(
        update(table)
        .where(table.c.id == case.id, table.c.status != CaseStatus.CLOSED.value)
        .values(status=CaseStatus.CLOSED.value)
    )
    if closed.rowcount == 1:
        event = Event(action="case.closed", subject=case.id, actor=by)
        audit.record(connection, event)
    return closed.rowcount == 1
