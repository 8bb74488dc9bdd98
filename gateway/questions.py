"""Cases that wait for what their citizen chooses, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, select, update

from gateway import audit, jobs
from gateway.jobs import NewJob
from gateway.model import (
    AttachmentState,
    Case,
    CaseStatus,
    DeliveryState,
    Event,
    ServiceId,
)
from gateway.receipts import SERVICE, queue_of
from gateway.store import schema
from gateway.store.units import now


def settle(
    connection: Connection, case: Case, service: ServiceId, patience: timedelta
) -> Case | None:
    """Give a waiting case to ``service``, with all that has not been handed over yet.

    Attachments that are still to come are waited for with ``patience``. None if the
    case no longer waits: the default service has it.
    """
    table = schema.cases
    settled = connection.execute(
        update(table)
        .where(table.c.id == case.id, table.c.status == CaseStatus.WAITING.value)
        .values(status=CaseStatus.ASSIGNED.value, service=service)
    )
    if settled.rowcount != 1:
        return None
    _hand_over(connection, case, service, patience)
    event = Event(
        action="case.settled",
        subject=case.id,
        actor="citizen",
        data={"from": case.service, "to": service},
    )
    audit.record(connection, event)
    return replace(case, service=service, status=CaseStatus.ASSIGNED)


def _hand_over(
    connection: Connection, case: Case, service: ServiceId, patience: timedelta
) -> None:
    """Turn the waiting deliveries of a case to ``service``, and let them go."""
    delivery = schema.delivery
    waiting = connection.execute(
        select(delivery.c.id, delivery.c.source_id).where(
            delivery.c.case_id == case.id,
            delivery.c.target == f"{SERVICE}:{case.service}",
            delivery.c.state == DeliveryState.PENDING.value,
        )
    ).all()
    taken = jobs.take_waiting(connection, [row.id for row in waiting])
    moved = [row for row in waiting if row.id in taken]
    if not moved:
        return
    target = f"{SERVICE}:{service}"
    connection.execute(
        update(delivery)
        .where(delivery.c.id.in_([row.id for row in moved]))
        .values(target=target, recipient=service)
    )
    incomplete = _incomplete(connection, [row.source_id for row in moved])
    due_at = now(connection) + patience
    new = [
        NewJob(
            queue=queue_of(target),
            lane=case.id,
            subject=row.id,
            due_at=due_at if row.source_id in incomplete else None,
        )
        for row in moved
    ]
    jobs.enqueue(connection, new)


def _incomplete(connection: Connection, message_ids: Sequence[str]) -> set[str]:
    """Return the messages whose attachments are not all here yet."""
    table = schema.attachment
    rows = connection.execute(
        select(table.c.message_id).where(
            table.c.message_id.in_(message_ids),
            table.c.state == AttachmentState.PENDING.value,
        )
    )
    return set(rows.scalars())
