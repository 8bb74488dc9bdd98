"""Where a case stands, and what may bring it from one state to another.

    new ──▶ assigned ◀──▶ answered ──▶ closed ──▶ reopened
    waiting ──▶ new, assigned

A case begins as *new*, or *waiting* for what its citizen chooses, and is *assigned*
once its service has it. The table below is all there is; nothing else writes the
column. A citizen's further word to an answer makes the case *assigned* again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from gateway import audit, deadlines
from gateway.errors import CaseError
from gateway.model import CaseStatus, Event, ServiceId
from gateway.store import schema
from gateway.store.prepared import Prepared
from gateway.store.units import now


@dataclass(frozen=True, slots=True)
class Transition:
    """What happens to a case: its ``action`` on the record, from where, to where."""

    action: str
    sources: frozenset[CaseStatus]
    to: CaseStatus


_NOTHING_DUE: Final = frozenset({CaseStatus.ANSWERED, CaseStatus.CLOSED})
"""Who is in these states waits for no answer."""

_OPEN: Final = frozenset(CaseStatus) - {CaseStatus.CLOSED}
_NEW, _WAITING = frozenset({CaseStatus.NEW}), frozenset({CaseStatus.WAITING})

HANDED_OVER: Final = Transition("case.assigned", _NEW, CaseStatus.ASSIGNED)
"""Its service has it."""
SETTLED: Final = Transition("case.settled", _WAITING, CaseStatus.NEW)
"""The citizen, or a rule, has told whose it is."""
UNDECIDED: Final = Transition("case.settled", _WAITING, CaseStatus.ASSIGNED)
"""It went to its service without the citizen's choice."""
ANSWERED: Final = Transition(
    "case.answered", _OPEN - {CaseStatus.ANSWERED}, CaseStatus.ANSWERED
)
REASSIGNED: Final = Transition("case.reassigned", _OPEN, CaseStatus.NEW)
"""Another service is to have it."""
UNANSWERED: Final = Transition(
    "case.unanswered", frozenset({CaseStatus.ANSWERED}), CaseStatus.ASSIGNED
)
"""It has got what nobody has answered yet."""
CLOSED: Final = Transition("case.closed", _OPEN, CaseStatus.CLOSED)
REOPENED: Final = Transition(
    "case.reopened", frozenset({CaseStatus.CLOSED}), CaseStatus.REOPENED
)
MERGED: Final = Transition("case.merged", frozenset(CaseStatus), CaseStatus.CLOSED)
"""It goes on in another case of the same citizen; from there nothing leads back."""

TABLE: Final = (
    *(HANDED_OVER, SETTLED, UNDECIDED, ANSWERED, UNANSWERED),
    *(REASSIGNED, CLOSED, REOPENED, MERGED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One case's transition: by whom, and what else to put on the record.

    With ``held_by`` only if that service has the case; ``service`` is who gets it.
    """

    case_id: str
    by: str
    held_by: ServiceId | None = None
    service: ServiceId | None = None
    data: Mapping[str, object] = field(default_factory=dict)


_SEEN = select(
    schema.cases.c.id,
    schema.cases.c.number,
    schema.cases.c.status,
    schema.cases.c.service,
    schema.cases.c.merged_into,
)
_CHANGE = Prepared(
    update(schema.cases)
    .where(
        schema.cases.c.id == bindparam("which"),
        schema.cases.c.status == bindparam("seen"),
    )
    .values(
        status=bindparam("becomes"),
        service=bindparam("whose"),
        closed_at=bindparam("ended"),
    )
)


def change(
    connection: Connection, transition: Transition, moves: Sequence[Move]
) -> set[str]:
    """Bring cases along ``transition``, on the record; return which could go.

    Each is guarded by the state seen here; one that stands elsewhere stays there.
    """
    if not moves:
        return set()
    seen = _look(connection, [move.case_id for move in moves])
    distinct = {move.case_id: move for move in moves}.values()
    going = [m for m in distinct if _may(seen.get(m.case_id), transition, m)]
    if not going:
        return set()
    at = now(connection) if transition.to is CaseStatus.CLOSED else None
    rows = [
        {
            "which": move.case_id,
            "seen": seen[move.case_id].status,
            "becomes": transition.to.value,
            "whose": move.service or seen[move.case_id].service,
            "ended": at,
        }
        for move in going
    ]
    _CHANGE.execute(connection, rows)
    if transition.to in _NOTHING_DUE:
        deadlines.end(connection, [move.case_id for move in going])
    events = [_event(transition, move, seen[move.case_id]) for move in going]
    audit.record(connection, *events)
    return {move.case_id for move in going}


def require(connection: Connection, transition: Transition, move: Move) -> None:
    """Bring one case along ``transition``, for staff.

    Raises:
        CaseError: it may not go there from where it stands.

    """
    if change(connection, transition, [move]):
        return
    row = _look(connection, [move.case_id])[move.case_id]
    word = transition.action.removeprefix("case.")
    allowed = ", ".join(each for each in CaseStatus if each in transition.sources)
    gone = " and merged into another" if row.merged_into else ""
    text = f"{row.number} is {row.status}{gone}: only what is {allowed} can be {word}"
    raise CaseError(text)


def _look(connection: Connection, case_ids: Sequence[str]) -> dict[str, Any]:
    """Look at cases, and keep other nodes from changing them meanwhile."""
    table = schema.cases
    rows = connection.execute(
        _SEEN.where(table.c.id.in_(set(case_ids)))
        .order_by(table.c.id)
        .with_for_update()
    )
    return {row.id: row for row in rows}


def _may(row: Any, transition: Transition, move: Move) -> bool:
    if row is None or row.merged_into is not None:
        return False
    if move.held_by is not None and move.held_by != row.service:
        return False
    return CaseStatus(row.status) in transition.sources


def _event(transition: Transition, move: Move, row: Any) -> Event:
    data = {"from_status": row.status, "to_status": transition.to.value}
    if transition in {SETTLED, UNDECIDED, REASSIGNED}:
        data |= {"from": row.service, "to": move.service or row.service}
    return Event(
        action=transition.action,
        subject=move.case_id,
        actor=move.by,
        data={**data, **move.data},
    )
