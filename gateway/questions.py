"""Cases that wait for what their citizen chooses, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from gateway import handing, jobs, states
from gateway.handing import Turn
from gateway.model import Case, CaseStatus, ServiceId
from gateway.store import schema
from gateway.targets import is_for


def settle(
    connection: Connection, case: Case, service: ServiceId, patience: timedelta, by: str
) -> Case | None:
    """Give a waiting case to ``service``, as the message ``by`` says, with all of it.

    Attachments that are still to come are waited for with ``patience``. None if the
    case no longer waits: the default service has it.
    """
    move = states.Move(case_id=case.id, by="citizen", service=service)
    if not states.change(connection, states.SETTLED, [move]):
        return None
    turned = Turn(
        case_id=case.id,
        before=case.service,
        after=service,
        mark=by,
        patience=patience,
    )
    handing.turn(connection, turned)
    return replace(case, service=service, status=CaseStatus.NEW)


def asked_until(connection: Connection, case: Case) -> datetime | None:
    """Return until when a case waits for its citizen's choice, if it still does."""
    job, delivery = schema.job, schema.delivery
    until: datetime | None = connection.execute(
        select(func.min(job.c.due_at))
        .join(delivery, delivery.c.id == job.c.subject)
        .where(
            delivery.c.case_id == case.id,
            is_for(delivery.c.target, case.service),
            job.c.state == jobs.WAITING,
        )
    ).scalar_one()
    return until
