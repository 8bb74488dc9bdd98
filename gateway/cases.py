"""Cases: numbers without gaps or doubles, and which case a message belongs to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from itertools import islice
from string import Formatter
from typing import Any, Final

from sqlalchemy import Connection, bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway import identity, states
from gateway.model import Case, CaseId, CaseStatus, ServiceId
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

    def read(self, text: str) -> str | None:
        """Return the number that a text is, if it is nothing else."""
        found = self._form.fullmatch(text.strip().rstrip(".!?"))
        if found is None:
            return None
        year, number = int(found["year"]), int(found["number"])
        return self.pattern.format(year=year, number=number)

    @cached_property
    def _form(self) -> re.Pattern[str]:
        places = {"year": r"(?P<year>\d{4})", "number": r"(?P<number>\d{1,9})"}
        pieces = Formatter().parse(self.pattern)
        form = "".join(
            re.escape(text) + places.get(name or "", "") for text, name, _, _ in pieces
        )
        return re.compile(rf"(?<![\w-]){form}(?![\w-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Which open or closed case a citizen's next message still belongs to.

    The open one whose last message is not older than ``within``; a closed one that the
    message names, for ``reopen`` after its end. ``sure``: with this confidence of the
    assignment, a message for another service is another matter (None: never).
    """

    within: timedelta
    reopen: timedelta = timedelta(0)
    sure: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """A message that needs a case: in which conversation, for which service.

    ``case_id`` is the case of the message that it answers, if it answers one; a new
    case ``waits`` if the citizen is asked what it is about. ``anew``: the citizen says
    that it is something new. ``confidence`` is that of a rule, 0 if none spoke.
    ``idle``: nobody is to answer it.
    """

    conversation_id: str
    service: ServiceId
    at: datetime
    case_id: str | None = None
    waits: bool = False
    anew: bool = False
    confidence: float = 0.0
    idle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The case of a matter: a ``new`` one, one ``reopened`` by it, or an open one.

    ``unanswered``: it had been answered, and is the office's again.
    """

    case: Case
    new: bool = False
    reopened: bool = False
    unanswered: bool = False


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
_INSERT = Insertion(
    schema.cases,
    (
        *("id", "number", "conversation_id", "service", "status"),
        *("opened_at", "last_message_at"),
    ),
)
_TOUCH = Prepared(
    update(schema.cases)
    .where(schema.cases.c.id == bindparam("known"))
    .values(last_message_at=bindparam("at"))
)


def assign_cases(
    connection: Connection,
    matters: Sequence[Matter],
    numbering: Numbering,
    joining: Joining,
) -> list[Joined]:
    """Return each matter's case.

    A message joins the case of the message that it answers, also one that was closed
    lately; else the open case of its conversation; else it opens one.
    """
    ids = {matter.case_id for matter in matters if matter.case_id is not None}
    named = current(connection, ids)
    rest = [m for m in matters if not _still(named.get(m.case_id or ""), m, joining)]
    latest = _open_cases(connection, rest, joining) if rest else {}
    plan, begun = _plan(matters, named, latest, joining)
    opened = _open(connection, begun, numbering)
    joined = [
        {"known": each.id, "at": matter.at}
        for each, matter in zip(plan, matters, strict=True)
        if isinstance(each, Case)
    ]
    if joined:
        _TOUCH.execute(connection, joined)
    back = _bring_back(connection, plan, matters)
    firsts = back | {case.id for case in opened}
    return [_joined(each, opened, firsts, back) for each in plan]


def _plan(
    matters: Sequence[Matter],
    named: Mapping[str, Any],
    latest: dict[str, Any],
    joining: Joining,
) -> tuple[list[Case | int], list[Matter]]:
    """Return each matter's known case, or the place of its new one among the begun."""
    plan: list[Case | int] = []
    begun: list[Matter] = []
    current: dict[str, int] = {}
    for matter in matters:
        row, conversation = named.get(matter.case_id or ""), matter.conversation_id
        if _still(row, matter, joining):
            plan.append(from_row(row))
            continue
        place, row = current.get(conversation), latest.get(conversation)
        if place is not None and _goes_on(begun[place].service, matter, joining):
            plan.append(place)
        elif place is None and _is_near(row, matter, joining):
            plan.append(from_row(row))
        else:
            current[conversation] = len(begun)
            plan.append(len(begun))
            begun.append(matter)
    return plan, begun


def _still(row: Any, matter: Matter, joining: Joining) -> bool:
    """Tell whether a case that was named can be joined, or opened again."""
    if row is None or row.merged_into is not None:
        return False
    if row.status != CaseStatus.CLOSED.value:
        return True
    ended = row.closed_at
    return ended is not None and ended > matter.at - joining.reopen


def _is_near(row: Any, matter: Matter, joining: Joining) -> bool:
    if row is None or row.last_message_at < matter.at - joining.within:
        return False
    return _goes_on(row.service, matter, joining)


def _goes_on(service: str, matter: Matter, joining: Joining) -> bool:
    """Tell whether a matter may be that of an open case with ``service``."""
    if matter.anew:
        return False
    sure = joining.sure is not None and matter.confidence >= joining.sure
    return matter.service == service or not sure


def _joined(
    each: Case | int, opened: Sequence[Case], firsts: set[str], back: Collection[str]
) -> Joined:
    """Count a case as new, or brought back, once: later ones of the batch join it."""
    case = opened[each] if isinstance(each, int) else each
    first = case.id in firsts
    firsts.discard(case.id)
    if isinstance(each, int):
        return Joined(case=case, new=first)
    if case.id not in back:
        return Joined(case=case)
    transition = _BACK[case.status]
    reopens = transition is states.REOPENED
    return Joined(
        case=replace(case, status=transition.to),
        reopened=first and reopens,
        unanswered=first and not reopens,
    )


def _bring_back(
    connection: Connection, plan: Sequence[Case | int], matters: Sequence[Matter]
) -> set[str]:
    """Give cases that were done with back to their offices: there is more to them."""
    came: set[str] = set()
    for status, transition in _BACK.items():
        moves = [
            states.Move(case_id=each.id, by="citizen")
            for each, matter in zip(plan, matters, strict=True)
            if isinstance(each, Case) and each.status is status and not matter.idle
        ]
        came |= states.change(connection, transition, moves)
    return came


_BACK: Final = {
    CaseStatus.CLOSED: states.REOPENED,
    CaseStatus.ANSWERED: states.UNANSWERED,
}
"""What a citizen's further message does to a case that is done with."""


def current(connection: Connection, ids: Collection[str]) -> dict[str, Any]:
    """Return the rows of cases by their ids, or of those in which they went on.

    Locked, as the open ones below: who merges or closes a case waits for us, or we see
    what they did.
    """
    if not ids:
        return {}
    rows = _locked(connection, ids)
    further = {row.merged_into for row in rows.values() if row.merged_into is not None}
    rows |= _locked(connection, further - set(rows)) if further else {}
    return {each: rows[rows[each].merged_into or each] for each in ids if each in rows}


def _locked(connection: Connection, ids: Collection[str]) -> dict[str, Any]:
    table = schema.cases
    found = connection.execute(
        select(table).where(table.c.id.in_(ids)).order_by(table.c.id).with_for_update()
    )
    return {row.id: row for row in found}


def _open_cases(
    connection: Connection, matters: Sequence[Matter], joining: Joining
) -> dict[str, Any]:
    """Return the row of the last open case of each conversation.

    Not of those that were open when the citizen said that something new follows.
    """
    table, conversation = schema.cases, schema.conversation
    since = min(matter.at for matter in matters) - joining.within
    rows = connection.execute(
        select(table)
        .join(conversation, conversation.c.id == table.c.conversation_id)
        .where(
            table.c.conversation_id.in_({m.conversation_id for m in matters}),
            table.c.last_message_at >= since,
            table.c.status != CaseStatus.CLOSED.value,
            or_(
                conversation.c.anew_at.is_(None),
                table.c.opened_at >= conversation.c.anew_at,
            ),
        )
        .order_by(table.c.last_message_at)
        .with_for_update(of=table)
    )
    return {row.conversation_id: row for row in rows}


def _open(
    connection: Connection, matters: Sequence[Matter], numbering: Numbering
) -> list[Case]:
    """Open a case for each matter, numbered in the order of arrival."""
    numbers = _numbers(connection, matters, numbering)
    opened = [
        Case(
            id=CaseId(identity.new_id()),
            number=number,
            service=matter.service,
            status=CaseStatus.WAITING if matter.waits else CaseStatus.NEW,
            opened_at=matter.at,
        )
        for matter, number in zip(matters, numbers, strict=True)
    ]
    if opened:
        rows = [
            _row(case, matter.conversation_id)
            for case, matter in zip(opened, matters, strict=True)
        ]
        _INSERT.execute(connection, rows)
    return opened


def open_one(connection: Connection, matter: Matter, numbering: Numbering) -> Case:
    """Open a case of its own for a matter, whatever else is open."""
    (case,) = _open(connection, [matter], numbering)
    return case


def _row(case: Case, conversation_id: str) -> dict[str, Any]:
    return {
        "id": case.id,
        "number": case.number,
        "conversation_id": conversation_id,
        "service": case.service,
        "status": case.status.value,
        "opened_at": case.opened_at,
        "last_message_at": case.opened_at,
        "deadline_at": None,
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


def by_number(connection: Connection, numbers: Collection[str]) -> dict[str, Any]:
    """Return the rows of cases by their numbers, or of those in which they went on."""
    table = schema.cases
    rows = connection.execute(select(table).where(table.c.number.in_(numbers))).all()
    further = {row.merged_into for row in rows if row.merged_into is not None}
    gone_on = (
        connection.execute(select(table).where(table.c.id.in_(further)))
        if further
        else ()
    )
    others = {row.id: row for row in gone_on}
    return {row.number: others.get(row.merged_into, row) for row in rows}
