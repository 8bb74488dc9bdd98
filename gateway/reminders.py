"""Tells services of deadlines that are near, and others of those that have passed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, func, select

from gateway import audit, deadlines, jobs, outbox
from gateway.deadlines import Deadlines
from gateway.jobs import Claim, ClaimRequest
from gateway.metrics import Metrics
from gateway.model import Author, Event, MessageState, ServiceId, Urgency
from gateway.outbox import NewDelivery
from gateway.store import schema
from gateway.store.units import now
from gateway.targets import of_service
from gateway.workers import Crew

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A claimed deadline: of which case, with which service; None if it has none."""

    claim: Claim
    case_id: str
    service: ServiceId
    deadline: datetime | None


def claim(
    connection: Connection, requests: Sequence[ClaimRequest]
) -> list[list[Watch]]:
    """Claim deadlines together with the cases they are of."""
    claims = jobs.claim(connection, requests)
    ids = [deadlines.case_of(held.subject) for each in claims for held in each]
    table = schema.cases
    rows = connection.execute(select(table).where(table.c.id.in_(ids))) if ids else ()
    known = {row.id: row for row in rows}
    return [[_watch(held, known) for held in each] for each in claims]


def _watch(held: Claim, known: Mapping[str, Any]) -> Watch:
    case_id = deadlines.case_of(held.subject)
    row = known.get(case_id)
    return Watch(
        claim=held,
        case_id=case_id,
        service=ServiceId(getattr(row, "service", "")),
        deadline=getattr(row, "deadline_at", None),
    )


def remind(
    connection: Connection, watches: Sequence[Watch], *, rules: Deadlines
) -> list[set[str]]:
    """Remind the services; return the queues with new work, for each.

    Who can't be told before the deadline, because nothing ran, is not reminded.

    Raises:
        StaleClaim: a case has been answered meanwhile, or another worker has it.

    """
    due = _take(connection, watches)
    jobs.enqueue(connection, [deadlines.passing(d.case_id, d.deadline) for d in due])
    at = now(connection)
    near = [each for each in due if at < each.deadline]
    told = {each.case_id: each.service for each in near if each.service in rules.rules}
    queues = _tell(connection, near, told, Urgency.REMINDER)
    return [queues] * len(watches)


def escalate(
    connection: Connection, watches: Sequence[Watch], *, rules: Deadlines
) -> list[set[str]]:
    """Tell those who are to hear of it; return the queues with new work, for each.

    Raises:
        StaleClaim: a case has been answered meanwhile, or another worker has it.

    """
    due = _take(connection, watches)
    at = now(connection)
    # SQLite's clock is the machine's own, and may have been turned back.
    early = [deadlines.passing(d.case_id, d.deadline) for d in due if d.deadline > at]
    jobs.enqueue(connection, early)
    late = [each for each in due if each.deadline <= at]
    told = {
        each.case_id: rule.escalate_to
        for each in late
        if (rule := rules.rules.get(each.service)) and rule.escalate_to is not None
    }
    queues = _tell(connection, late, told, Urgency.ESCALATION)
    return [queues] * len(watches)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    case_id: str
    service: ServiceId
    deadline: datetime


def _take(connection: Connection, watches: Sequence[Watch]) -> list[_Due]:
    """Finish the claims; return the deadlines that still stand.

    The cases are locked, as by whoever answers or moves them: they wait for us, or we
    see what they did.
    """
    table = schema.cases
    rows = connection.execute(
        select(table.c.id, table.c.service, table.c.deadline_at)
        .where(table.c.id.in_([watch.case_id for watch in watches]))
        .order_by(table.c.id)
        .with_for_update()
    ).all()
    jobs.finish(connection, [watch.claim for watch in watches])
    return [
        _Due(case_id=row.id, service=ServiceId(row.service), deadline=row.deadline_at)
        for row in rows
        if row.deadline_at is not None
    ]


def _tell(
    connection: Connection,
    due: Sequence[_Due],
    told: Mapping[str, ServiceId],
    urgency: Urgency,
) -> set[str]:
    """Hand what began each case over once more, and say so on the record."""
    first = _first_said(connection, list(told))
    deliveries = [
        NewDelivery(
            message_id=first[each.case_id],
            target=of_service(told[each.case_id]),
            purpose=deadlines.purpose_of(urgency, each.deadline),
            recipient=told[each.case_id],
            lane=each.case_id,
            case_id=each.case_id,
            # Who is reminded has the files.
            source_id=first[each.case_id] if urgency is Urgency.ESCALATION else None,
        )
        for each in due
        if each.case_id in first
    ]
    audit.record(connection, *(_event(each, told, urgency) for each in due))
    return outbox.enqueue(connection, deliveries)


def _event(each: _Due, told: Mapping[str, ServiceId], urgency: Urgency) -> Event:
    return Event(
        action=_ACTIONS[urgency],
        subject=each.case_id,
        actor="gateway",
        data={"service": each.service, "told": told.get(each.case_id)},
    )


_ACTIONS = {Urgency.REMINDER: "case.reminded", Urgency.ESCALATION: "case.overdue"}


def _first_said(connection: Connection, case_ids: Sequence[str]) -> dict[str, str]:
    """Return the first message of the citizen in each case."""
    if not case_ids:
        return {}
    table = schema.message
    rows = connection.execute(
        select(table.c.case_id, func.min(table.c.id))
        .where(
            table.c.case_id.in_(case_ids),
            table.c.author == Author.CITIZEN.value,
            table.c.state == MessageState.PROCESSED.value,
        )
        .group_by(table.c.case_id)
    )
    return {row[0]: row[1] for row in rows}


class Reminders:
    """Handles the deadlines whose time has come."""

    def __init__(self, crew: Crew, metrics: Metrics, rules: Deadlines) -> None:
        """Work with ``crew``, by the ``rules`` as they are now."""
        self._crew = crew
        self._metrics = metrics
        self._remind = partial(remind, rules=rules)
        self._escalate = partial(escalate, rules=rules)

    async def near(self, watch: Watch) -> None:
        """Remind the service that has the case."""
        self._wake(await self._crew.store.run_batched(self._remind, watch))
        if watch.deadline is not None:
            self._count(watch, "near")

    async def passed(self, watch: Watch) -> None:
        """Tell whoever is to hear of it."""
        self._wake(await self._crew.store.run_batched(self._escalate, watch))
        if watch.deadline is None:
            return
        log.warning("deadline_passed", service=watch.service, case=watch.case_id)
        self._count(watch, "passed")

    def _wake(self, queues: Collection[str]) -> None:
        for queue in queues:
            self._crew.wakeups.wake(queue)

    def _count(self, watch: Watch, result: str) -> None:
        self._metrics.deadlines.labels(watch.service, result).inc()
