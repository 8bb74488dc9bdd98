"""What an answer refers to as it stands by now, which may be elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from gateway import cases, deadlines
from gateway.model import Case, ServiceId, Urgency
from gateway.outbox import Referred
from gateway.store import schema
from gateway.targets import is_for, of_service, service_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an answer refers to; ``asked``: its service was told that it is overdue.

    Only while it still is: nobody has answered, closed or moved the case since.
    """

    referred: Referred
    case: Case | None
    asked: bool = False


def by_now(connection: Connection, said: Sequence[Referred]) -> list[Standing]:
    """Return how what was looked up before stands now.

    Meanwhile staff may have split or merged the case.
    """
    handed = {each.delivery_id for each in said if each.delivery_id}
    table = schema.delivery
    found = (
        connection.execute(
            select(table.c.id, table.c.case_id).where(table.c.id.in_(handed))
        )
        if handed
        else ()
    )
    moved = {row.id: row.case_id for row in found}
    ids = [moved.get(each.delivery_id, each.case_id) for each in said]
    rows = cases.current(connection, {each for each in ids if each is not None})
    return [
        _standing(connection, referred, rows.get(str(each)))
        for referred, each in zip(said, ids, strict=True)
    ]


def _standing(connection: Connection, referred: Referred, row: Any) -> Standing:
    if row is None:
        return Standing(referred=referred, case=None)
    here = replace(referred, case_id=row.id, conversation_id=row.conversation_id)
    asked = here.target != of_service(row.service) and _was_asked(
        connection, service_of(here.target), row
    )
    return Standing(referred=here, case=cases.from_row(row), asked=asked)


def _was_asked(connection: Connection, service: ServiceId, row: Any) -> bool:
    """Tell whether a service was told that a case is overdue, of its deadline now."""
    if row.deadline_at is None:
        return False
    table = schema.delivery
    told = select(table.c.id).where(
        table.c.case_id == row.id,
        table.c.purpose == deadlines.purpose_of(Urgency.ESCALATION, row.deadline_at),
        is_for(table.c.target, service),
    )
    return connection.execute(told.limit(1)).first() is not None
