"""How much work the queues hold, and how long it has been waiting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, case, func, select

from gateway.jobs import READY
from gateway.store.schema import dead_letter, job
from gateway.store.units import now


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """How much open work a queue has, and how old its oldest ready job is."""

    open: int
    dead: int
    oldest_ready_age: timedelta


def measure(connection: Connection) -> Mapping[str, QueueDepth]:
    """Measure every queue that has open work or dead letters."""
    at = now(connection)
    ready_since = func.min(case((job.c.state == READY, job.c.created_at)))
    opened = connection.execute(
        select(job.c.queue, func.count(), ready_since).group_by(job.c.queue)
    ).all()
    dead: dict[str, int] = {
        row[0]: row[1]
        for row in connection.execute(
            select(dead_letter.c.queue, func.count())
            .where(dead_letter.c.resolution.is_(None))
            .group_by(dead_letter.c.queue)
        )
    }
    measured = {
        queue: QueueDepth(
            open=count,
            dead=dead.pop(queue, 0),
            oldest_ready_age=at - since if since else timedelta(0),
        )
        for queue, count, since in opened
    }
    rest = {
        queue: QueueDepth(open=0, dead=count, oldest_ready_age=timedelta(0))
        for queue, count in dead.items()
    }
    return {**measured, **rest}
