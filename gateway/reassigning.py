"""A case that goes from one service to another, with all that was said in it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from gateway import handing, states
from gateway.handing import Turn
from gateway.model import Case, Message, ServiceId


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

    Raises:
        CaseError: the case is closed.

    """
    data = {"message": order.id}
    move = states.Move(case_id=case.id, by=by, service=service, data=data)
    states.require(connection, states.REASSIGNED, move)
    turned = Turn(
        case_id=case.id,
        before=case.service,
        after=service,
        mark=order.id,
        patience=patience,
    )
    besides = [order.id] if note else []
    return handing.turn(connection, turned, besides=besides)
