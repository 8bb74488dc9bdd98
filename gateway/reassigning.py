"""A case that goes from one service to another, with all that was said in it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, select, update

from gateway import audit, errands, messages, outbox
from gateway.model import (
    Amendment,
    Author,
    Case,
    CaseStatus,
    Event,
    Message,
    MessageState,
    ServiceId,
)
from gateway.outbox import FORWARDED, NewDelivery
from gateway.receipts import SERVICE
from gateway.store import schema


def reassign(  # noqa: PLR0913 (who, what, to whom, with what)
    connection: Connection,
    case: Case,
    service: ServiceId,
    *,
    by: str,
    order: Message,
    note: bool,
    patience: timedelta,
) -> set[str]:
    """Give ``case`` to ``service``, as ``order`` says; return queues with new work.

    The service gets what the citizen has said so far, then the order itself if it has
    a ``note`` for it. Attachments still to come are waited for with ``patience``.
    """
    table = schema.cases
    connection.execute(
        update(table)
        .where(table.c.id == case.id)
        .values(service=service, status=CaseStatus.ASSIGNED.value)
    )
    event = Event(
        action="case.reassigned",
        subject=case.id,
        actor=by,
        data={"from": case.service, "to": service, "message": order.id},
    )
    audit.record(connection, event)
    found = messages.load(connection, [*_of_citizen(connection, case), order.id])
    said = [
        each
        for each, message in found.items()
        if message.amendment is not Amendment.REACTION and (note or each != order.id)
    ]
    deliveries = [
        NewDelivery(
            message_id=each,
            target=f"{SERVICE}:{service}",
            # A case may come back to a service that has had it before.
            purpose=f"{FORWARDED}{order.id}",
            recipient=service,
            lane=case.id,
            case_id=case.id,
            source_id=each,
            due_at=errands.due(connection, found[each], patience),
        )
        for each in sorted(said)
    ]
    return outbox.enqueue(connection, deliveries)


def _of_citizen(connection: Connection, case: Case) -> list[str]:
    """Return what the citizen has said in a case, in order."""
    table = schema.message
    rows = connection.execute(
        select(table.c.id)
        .where(
            table.c.case_id == case.id,
            table.c.author == Author.CITIZEN.value,
            table.c.state == MessageState.PROCESSED.value,
        )
        .order_by(table.c.id)
    )
    return list(rows.scalars())
