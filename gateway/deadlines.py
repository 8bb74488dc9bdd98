"""By when a case must be answered, in the working hours of the service that has it.

A case has its deadline in its row, and one job that waits: first for the time of the
reminder, then for the deadline itself. So both survive restarts and belong to every
node. Once the case is answered, closed or moved, the row has none and the job is gone.
While a case waits for what its citizen chooses, no time is counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, update

from gateway import audit, jobs
from gateway.hours import ALWAYS, Hours
from gateway.jobs import NewJob
from gateway.model import Event, ServiceId, Urgency
from gateway.store import schema
from gateway.store.prepared import Prepared
from gateway.store.units import now

NEAR: Final = "deadlines-near"
"""The queue of reminders."""

PASSED: Final = "deadlines-passed"
"""The queue of escalations."""

_AT_ONCE: Final[Mapping[str, timedelta]] = {}
_PREFIX = "deadline:"
_FORM = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Within how much working time a service answers, and who hears if it doesn't."""

    within: timedelta
    remind_before: timedelta | None = None
    escalate_to: ServiceId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The rules of the services that have one, and when each of them works."""

    rules: Mapping[ServiceId, Rule] = field(default_factory=dict)
    hours: Mapping[ServiceId | None, Hours] = field(default_factory=dict)

    def hours_of(self, service: ServiceId) -> Hours:
        """Return when a service works; always, if nothing is known."""
        return self.hours.get(service) or self.hours.get(None) or ALWAYS

    def of(self, service: ServiceId, at: datetime) -> Deadline | None:
        """Return by when a case that a service gets at ``at`` must be answered."""
        rule = self.rules.get(service)
        if rule is None:
            return None
        hours = self.hours_of(service)
        due = hours.add(at, rule.within)
        if due is None:
            return None
        before = rule.remind_before
        near = None if before is None else hours.add(at, rule.within - before)
        return Deadline(at=due.replace(microsecond=0), remind_at=near)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """By when a case must be answered, and when its service is reminded of that."""

    at: datetime
    remind_at: datetime | None


_SET = Prepared(
    update(schema.cases)
    .where(schema.cases.c.id == bindparam("of_case"))
    .values(deadline_at=bindparam("by"))
)


def subject_of(case_id: str) -> str:
    """Name the work of watching a case's deadline."""
    return f"{_PREFIX}{case_id}"


def case_of(subject: str) -> str:
    """Return the case whose deadline is watched under a subject."""
    return subject.removeprefix(_PREFIX)


def begin(
    connection: Connection,
    cases: Sequence[tuple[str, ServiceId]],
    deadlines: Deadlines,
    *,
    waits: Mapping[str, timedelta] = _AT_ONCE,
) -> None:
    """Give each case the deadline of the service that gets it now.

    ``waits`` is how long some wait for their citizens first: their time runs from then.
    """
    at = now(connection)
    found = [
        (case_id, service, deadline)
        for case_id, service in cases
        for since in [at + waits.get(case_id, timedelta(0))]
        if (deadline := deadlines.of(service, since)) is not None
    ]
    if not found:
        return
    _SET.execute(connection, [{"of_case": c, "by": d.at} for c, _, d in found])
    jobs.enqueue(connection, [_watch(case_id, each) for case_id, _, each in found])
    audit.record(
        connection,
        *(
            Event(
                action="case.deadline",
                subject=case_id,
                actor="gateway",
                data={"service": service, "deadline": deadline.at.isoformat()},
            )
            for case_id, service, deadline in found
        ),
    )


def move(
    connection: Connection, case_id: str, service: ServiceId, deadlines: Deadlines
) -> None:
    """Begin anew, by the rule of the service that a case has been given to."""
    end(connection, [case_id])
    begin(connection, [(case_id, service)], deadlines)


def keep(connection: Connection, case_id: str, deadline: datetime) -> None:
    """Let a case be due at ``deadline``, which was another's that goes on in it."""
    end(connection, [case_id])
    _SET.execute(connection, [{"of_case": case_id, "by": deadline}])
    jobs.enqueue(connection, [passing(case_id, deadline)])


def end(connection: Connection, case_ids: Collection[str]) -> None:
    """Watch no more: these cases are answered, closed or with somebody else."""
    table = schema.cases
    ended = connection.execute(
        update(table)
        .where(table.c.id.in_(case_ids), table.c.deadline_at.is_not(None))
        .values(deadline_at=None)
        .returning(table.c.id)
    )
    for case_id in ended.scalars().all():
        jobs.cancel(connection, subject_of(case_id))


def _watch(case_id: str, deadline: Deadline) -> NewJob:
    if deadline.remind_at is None:
        return passing(case_id, deadline.at)
    return NewJob(
        queue=NEAR,
        lane=case_id,
        subject=subject_of(case_id),
        due_at=deadline.remind_at,
    )


def passing(case_id: str, deadline: datetime) -> NewJob:
    """Return the job that waits for a deadline to pass."""
    return NewJob(
        queue=PASSED, lane=case_id, subject=subject_of(case_id), due_at=deadline
    )


def purpose_of(urgency: Urgency, deadline: datetime) -> str:
    """Name what tells a service of a deadline: once each, and again of another one."""
    return f"{urgency.value}:{deadline.astimezone(UTC).strftime(_FORM)}"


def urged_by(purpose: str) -> tuple[Urgency, datetime] | None:
    """Return of which deadline, and how, a delivery of this purpose tells."""
    word, _, deadline = purpose.partition(":")
    if word not in list(Urgency):
        return None
    return Urgency(word), datetime.strptime(deadline, _FORM).replace(tzinfo=UTC)


def count_overdue(connection: Connection) -> dict[str, int]:
    """Return how many cases of each service are unanswered beyond their deadline."""
    table = schema.cases
    rows = connection.execute(
        select(table.c.service, func.count())
        .where(table.c.deadline_at < now(connection))
        .group_by(table.c.service)
    )
    return {row[0]: row[1] for row in rows}
