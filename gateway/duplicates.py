"""The same thing told by several citizens: their cases are linked, never merged.

Each stays what it is, with its own number and citizen; when the main one is closed the
others are (see `gateway.closing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import cos, hypot, radians
from typing import Any, Final

import orjson
from rapidfuzz import fuzz, utils
from sqlalchemy import Connection, select, update

from gateway import audit, named
from gateway.errors import CaseError
from gateway.model import Author, CaseStatus, Event, MessageState
from gateway.store import schema

AROUND: Final = timedelta(days=14)
"""How far apart in time two reports of the same thing may be."""

NEAR_METRES: Final = 200.0
"""How far apart in place."""

MOST_COMPARED: Final = 500
"""How many cases a case is compared with, the nearest in time."""

_MOST_SHOWN: Final = 10
_METRES_A_DEGREE: Final = 111_195.0  # of latitude: mean radius of the earth, IUGG
_ALIKE: Final = 60.0
_ALIKE_NEARBY: Final = 35.0
_CHARACTERS: Final = 2000


def link(connection: Connection, number: str, main: str, *, by: str) -> None:
    """Note that the case ``number`` is about the same as ``main``, of somebody else.

    Raises:
        NotFound: there is no such case.
        CaseError: they are of one citizen, or one of them is closed.

    """
    other, root = named.find(connection, number, main)
    if root.duplicate_of is not None:
        (root,) = _by_id(connection, root.duplicate_of)
    problem = ""
    for row in [*_linked(connection, other.id), other]:
        if _same_citizen(connection, row, root):
            problem = f"{row.number} and {root.number} are of one citizen: merge them"
    if other.id == root.id:
        problem = f"{number} is the main case of these already"
    for row in (other, root):
        if row.status == CaseStatus.CLOSED.value:
            problem = f"{row.number} is closed: reopen it first"
    if problem:
        raise CaseError(problem)
    for row in (*_linked(connection, other.id), other):
        _point(connection, row, root.id, by)


def unlink(connection: Connection, number: str, *, by: str) -> None:
    """Note that a case is a matter of its own after all.

    Raises:
        NotFound: there is no such case.
        CaseError: it is linked to none.

    """
    (row,) = named.find(connection, number)
    if row.duplicate_of is None:
        text = f"{number} is linked to no other case"
        raise CaseError(text)
    _point(connection, row, None, by)


def _point(connection: Connection, row: Any, main: str | None, by: str) -> None:
    """Let a case be linked to ``main``, or to none, on the record."""
    if row.duplicate_of == main:
        return
    table = schema.cases
    connection.execute(
        update(table).where(table.c.id == row.id).values(duplicate_of=main)
    )
    if row.duplicate_of is not None:
        _record(connection, "case.unlinked", row.id, row.duplicate_of, by)
    if main is not None:
        _record(connection, "case.linked", row.id, main, by)


def follow(connection: Connection, old: Any, new: Any, *, by: str) -> None:
    """Bring the links of a case together with those of the one in which it goes on.

    The main case of either is that of all; what that leaves linked to a case of the
    same citizen is linked no more.
    """
    main = new
    for each in (old.duplicate_of, new.duplicate_of):
        if each not in {None, old.id, new.id}:
            (main,) = _by_id(connection, each)
    members = [row for row in _linked(connection, old.id, new.id) if row.id != old.id]
    group = {row.id: row for row in (*members, new) if row.id != main.id}
    for row in group.values():
        linked = None if _same_citizen(connection, row, main) else main.id
        _point(connection, row, linked, by)
    for row in (old, main):
        _point(connection, row, None, by)


def _linked(connection: Connection, *mains: str) -> Sequence[Any]:
    table = schema.cases
    return connection.execute(
        select(table)
        .where(table.c.duplicate_of.in_(mains))
        .order_by(table.c.id)
        .with_for_update()
    ).all()


def _same_citizen(connection: Connection, one: Any, other: Any) -> bool:
    both = [one.conversation_id, other.conversation_id]
    return len(named.citizens(connection, both)) == 1


def _by_id(connection: Connection, case_id: str) -> Sequence[Any]:
    table = schema.cases
    return connection.execute(
        select(table).where(table.c.id == case_id).with_for_update()
    ).all()


def _record(
    connection: Connection, action: str, case_id: str, main: str, by: str
) -> None:
    audit.record(
        connection,
        Event(action=action, subject=case_id, actor=by, data={"main": main}),
        Event(action=action, subject=main, actor=by, data={"duplicate": case_id}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A case that may be about the same: how alike the words, how far the place."""

    number: str
    service: str
    status: str
    days: float
    alike: float
    metres: float | None

    @property
    def order(self) -> tuple[float, float]:
        """Return what sorts the likeliest first."""
        near = 0.0 if self.metres is None else 50 * (1 - self.metres / NEAR_METRES)
        return (-(self.alike + near), abs(self.days))


@dataclass(slots=True)
class _Said:
    """What a case's citizen said, and the first point they named."""

    text: str = ""
    point: tuple[float, float] | None = None


def suggest(connection: Connection, number: str) -> list[Suggestion]:
    """Return open cases of other citizens that may be about the same, likeliest first.

    By place (200 m), time (14 days) and words; of the 500 nearest in time.

    Raises:
        NotFound: there is no such case.

    """
    (row,) = named.find(connection, number)
    others = _around(connection, row)
    said = _said(connection, [row.id, *(each.id for each in others)])
    mine = said.get(row.id, _Said())
    found = [
        suggestion
        for each in others
        if (suggestion := _compare(row, mine, each, said.get(each.id, _Said())))
    ]
    return sorted(found, key=lambda each: each.order)[:_MOST_SHOWN]


def _around(connection: Connection, row: Any) -> list[Any]:
    table, conversation = schema.cases, schema.conversation
    mine = (
        select(conversation.c.contact_id)
        .where(conversation.c.id == row.conversation_id)
        .scalar_subquery()
    )
    statement = (
        select(table)
        .join(conversation, conversation.c.id == table.c.conversation_id)
        .where(
            table.c.opened_at.between(row.opened_at - AROUND, row.opened_at + AROUND),
            table.c.status != CaseStatus.CLOSED.value,
            table.c.id != row.id,
            conversation.c.contact_id != mine,
        )
        .order_by(table.c.opened_at.desc())
        .limit(MOST_COMPARED)
    )
    return list(connection.execute(statement))


def _said(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, _Said]:
    table = schema.message
    rows = connection.execute(
        select(table.c.case_id, table.c.body)
        .where(
            table.c.case_id.in_(case_ids),
            table.c.author == Author.CITIZEN.value,
            table.c.state == MessageState.PROCESSED.value,
        )
        .order_by(table.c.id)
    )
    found: dict[str, _Said] = {}
    for row in rows:
        body, said = orjson.loads(row.body), found.setdefault(row.case_id, _Said())
        said.text = f"{said.text} {body['text']}"[:_CHARACTERS]
        place = body.get("location")
        if place and said.point is None:
            said.point = (place["latitude"], place["longitude"])
    return found


def _compare(row: Any, mine: _Said, other: Any, theirs: _Said) -> Suggestion | None:
    alike = fuzz.token_set_ratio(
        mine.text, theirs.text, processor=utils.default_process
    )
    metres = _metres(mine.point, theirs.point)
    enough = _ALIKE if metres is None else _ALIKE_NEARBY
    if alike < enough or (metres is not None and metres > NEAR_METRES):
        return None
    return Suggestion(
        number=other.number,
        service=other.service,
        status=other.status,
        days=round((other.opened_at - row.opened_at) / timedelta(days=1), 1),
        alike=round(alike, 1),
        metres=metres,
    )


def _metres(
    here: tuple[float, float] | None, there: tuple[float, float] | None
) -> float | None:
    """Measure a short distance, on a plane that touches the earth here."""
    if here is None or there is None:
        return None
    narrow = cos(radians(here[0]))
    north, east = here[0] - there[0], (here[1] - there[1]) * narrow
    return round(hypot(north, east) * _METRES_A_DEGREE, 1)
