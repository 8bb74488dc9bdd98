"""All that was said in a case, handed to the service that has it from now on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, case, or_, select, true, update

from gateway import errands, jobs, messages, outbox
from gateway.jobs import NewJob
from gateway.model import (
    Amendment,
    Author,
    DeliveryState,
    MessageState,
    ServiceId,
)
from gateway.outbox import FORWARDED, NewDelivery
from gateway.store import schema
from gateway.targets import is_for, of_service, queue_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """From which service to which, and in which case, the hand-overs of one go on.

    They go on in the case ``into``, if that is another. ``mark`` tells this turn from
    others of the same messages: they may come back. Attachments still to come are
    waited for with ``patience``.
    """

    case_id: str
    into: str = ""
    before: ServiceId
    after: ServiceId
    mark: str
    patience: timedelta

    @property
    def lane(self) -> str:
        """Return the case in which they go on."""
        return self.into or self.case_id


def turn(
    connection: Connection,
    turned: Turn,
    *,
    besides: Sequence[str] = (),
    only: Sequence[str] = (),
) -> set[str]:
    """Give all that the citizen has said to ``after``; return queues with new work.

    What has not left for ``before`` yet never does; what has is handed over again, if
    ``after`` is another, or gets ``only`` these messages as a case of its own. The
    messages ``besides`` go along.
    """
    ids = [*(only or of_citizen(connection, turned.case_id)), *besides]
    _hold_files(connection, ids)
    said = {
        each: message
        for each, message in messages.load(connection, ids).items()
        if message.amendment is not Amendment.REACTION
    }
    due = {e: errands.due(connection, said[e], turned.patience) for e in sorted(said)}
    idle = _take(connection, turned, only)
    again = bool(only) or turned.after != turned.before
    left = [each for each in due if again and each not in idle.values()]
    # The other case of a merger is known to its service.
    known = bool(turned.into) and not only
    forwarded = [
        _forward(turned, each, due[each], further=known or number > 0)
        for number, each in enumerate(left)
    ]
    queues = outbox.enqueue(connection, forwarded)
    if only:
        _rename(connection, turned, idle)
    return queues | _redirect(connection, turned, idle, due)


def _hold_files(connection: Connection, message_ids: Sequence[str]) -> None:
    """Let a file that arrives now be noted after us, and wake what waits for it."""
    table = schema.attachment
    connection.execute(
        select(table.c.message_id)
        .where(table.c.message_id.in_(message_ids))
        .order_by(table.c.message_id, table.c.position)
        .with_for_update()
    )


def _forward(
    turned: Turn, message_id: str, due_at: datetime | None, *, further: bool
) -> NewDelivery:
    return NewDelivery(
        message_id=message_id,
        target=of_service(turned.after),
        purpose=outbox.forwarded(turned.mark, further=further),
        recipient=turned.after,
        lane=turned.lane,
        case_id=turned.lane,
        source_id=message_id,
        due_at=due_at,
    )


def _take(connection: Connection, turned: Turn, only: Sequence[str]) -> dict[str, str]:
    """Take back the deliveries that have not left yet: their ids → messages."""
    table = schema.delivery
    rows = connection.execute(
        select(table.c.id, table.c.message_id).where(
            table.c.case_id == turned.case_id,
            table.c.message_id.in_(only) if only else true(),
            is_for(table.c.target, turned.before),
            table.c.state == DeliveryState.PENDING.value,
            or_(
                table.c.purpose.in_([outbox.HANDOVER, outbox.ADDITION]),
                table.c.purpose.startswith(FORWARDED),
            ),
        )
    ).all()
    taken = jobs.take_idle(connection, [row.id for row in rows]) if rows else set()
    return {row.id: row.message_id for row in rows if row.id in taken}


def _rename(connection: Connection, turned: Turn, idle: Mapping[str, str]) -> None:
    """Let nothing be an addition to a case that the service does not know."""
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id.in_(idle), table.c.purpose == outbox.ADDITION)
        .values(purpose=f"{FORWARDED}{turned.mark}")
    )


def _redirect(
    connection: Connection,
    turned: Turn,
    idle: Mapping[str, str],
    due: Mapping[str, datetime | None],
) -> set[str]:
    """Let deliveries go on to the other service, or to the same for another case."""
    if not idle:
        return set()
    table = schema.delivery
    # Of the same service each stays with the connector whose turn it is.
    same = turned.before == turned.after
    target = table.c.target if same else of_service(turned.after)
    further = or_(
        table.c.purpose == outbox.ADDITION, table.c.purpose.endswith(outbox.FURTHER)
    )
    # Another name each time: the messages may have been there before.
    purpose = case(
        (further, outbox.forwarded(turned.mark, further=True)),
        else_=outbox.forwarded(turned.mark, further=False),
    )
    rows = connection.execute(
        update(table)
        .where(table.c.id.in_(idle))
        .values(
            target=target,
            recipient=turned.after,
            case_id=turned.lane,
            purpose=table.c.purpose if same else purpose,
        )
        .returning(table.c.id, table.c.target)
    ).all()
    new = [
        NewJob(
            queue=queue_of(row.target),
            lane=turned.lane,
            subject=row.id,
            due_at=due.get(idle[row.id]),
        )
        for row in sorted(rows, key=lambda row: str(row.id))
    ]
    jobs.enqueue(connection, new)
    return {each.queue for each in new}


def of_citizen(connection: Connection, case_id: str) -> list[str]:
    """Return what the citizen has said in a case, in order."""
    table = schema.message
    rows: Any = connection.execute(
        select(table.c.id)
        .where(
            table.c.case_id == case_id,
            table.c.author == Author.CITIZEN.value,
            table.c.state == MessageState.PROCESSED.value,
        )
        .order_by(table.c.id)
    )
    return list(rows.scalars())
