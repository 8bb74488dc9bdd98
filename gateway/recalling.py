"""When a connector has a delivery after all that was passed on to the service's next.

What the next has not sent yet is withdrawn; of what it has, or may have, the record
says that the service has it twice (``delivery.doubled``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, select, update

from gateway import audit, dead_letters, jobs
from gateway.model import DeliveryState, Event
from gateway.store import schema
from gateway.targets import is_for, queue_of, service_of

log = structlog.get_logger()

DELIVERED_AFTER_ALL: Final = "delivered_after_all"
"""Code of a delivery that is withdrawn, since the service has it by another way."""

_OPEN: Final = {
    DeliveryState.PENDING,
    DeliveryState.SENDING,
    DeliveryState.UNKNOWN,
}
_HAVE_IT: Final = {DeliveryState.SENT, DeliveryState.DELIVERED, DeliveryState.READ}


def others(connection: Connection, row: Row[Any]) -> Sequence[Row[Any]]:
    """Return the deliveries of the same by the service's other connectors."""
    table = schema.delivery
    return connection.execute(
        select(table).where(
            table.c.message_id == row.message_id,
            table.c.purpose == row.purpose,
            is_for(table.c.target, service_of(row.target)),
            table.c.id != row.id,
        )
    ).all()


def recall(connection: Connection, row: Row[Any], rest: Sequence[Row[Any]]) -> None:
    """Withdraw what has not been sent; tell what has been, or may have been."""
    untried = {each.id for each in rest if _is_untried(connection, each)}
    open_ = [each.id for each in rest if DeliveryState(each.state) in _OPEN]
    idle = jobs.take_idle(connection, open_) if open_ else set()
    for each in rest:
        withdrawn = each.id in idle or _close_letters(connection, each)
        if withdrawn:
            _withdraw(connection, each)
        if DeliveryState(each.state) in _HAVE_IT:
            _tell(connection, row, each, perhaps=False)
        elif DeliveryState(each.state) in _OPEN and not (
            withdrawn and each.id in untried
        ):
            _tell(connection, row, each, perhaps=True)


def _is_untried(connection: Connection, each: Row[Any]) -> bool:
    """Tell whether nothing can have arrived: one may begin in doubt of the first."""
    if each.state == DeliveryState.PENDING.value:
        return True
    job = schema.job
    tried = select(job.c.id).where(job.c.subject == each.id, job.c.attempts > 0)
    return connection.execute(tried).first() is None


def _close_letters(connection: Connection, each: Row[Any]) -> bool:
    """Close the dead letters of a delivery; tell whether there were any."""
    letter = schema.dead_letter
    found = connection.execute(
        select(letter.c.id).where(
            letter.c.queue == queue_of(each.target),
            letter.c.subject == each.id,
            letter.c.resolution.is_(None),
        )
    )
    ids = found.scalars().all()
    for letter_id in ids:
        dead_letters.discard(connection, letter_id, DELIVERED_AFTER_ALL, "gateway")
    return bool(ids)


def _withdraw(connection: Connection, each: Row[Any]) -> None:
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id == each.id)
        .values(state=DeliveryState.PASSED_ON.value, code=DELIVERED_AFTER_ALL)
    )
    data = {"delivery": each.id, "target": each.target, "purpose": each.purpose}
    _record(connection, "delivery.withdrawn", each.message_id, "gateway", data)


def _tell(
    connection: Connection, row: Row[Any], other: Row[Any], *, perhaps: bool
) -> None:
    data = {
        "delivery": row.id,
        "target": row.target,
        "other": other.id,
        "by": other.target,
        "perhaps": perhaps,
    }
    _record(connection, "delivery.doubled", row.message_id, row.target, data)
    log.warning(
        "delivery_doubled",
        delivery=row.id,
        target=row.target,
        by=other.target,
        perhaps=perhaps,
    )


def _record(
    connection: Connection, action: str, subject: str, actor: str, data: dict[str, Any]
) -> None:
    event = Event(action=action, subject=subject, actor=actor, data=data)
    audit.record(connection, event)
