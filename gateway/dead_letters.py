"""What becomes of dead letters: another try, or the end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, update

from gateway import audit, jobs
from gateway.errors import NotFound
from gateway.model import Event
from gateway.store.schema import dead_letter
from gateway.store.units import now


def resurrect(connection: Connection, dead_letter_id: str, actor: str) -> str:
    """Try a dead letter again: a new job about the same subject, which is returned.

    Raises:
        NotFound: there is no open dead letter of that id.

    """
    row = _resolve(connection, dead_letter_id, "retried", "", actor)
    again = jobs.NewJob(queue=row.queue, lane=row.lane, subject=row.subject)
    jobs.enqueue(connection, [again])
    return str(row.subject)


def discard(connection: Connection, dead_letter_id: str, note: str, actor: str) -> None:
    """Close a dead letter for good, with the operator's reason.

    Raises:
        NotFound: there is no open dead letter of that id.

    """
    _resolve(connection, dead_letter_id, "discarded", note, actor)


def _resolve(
    connection: Connection, dead_letter_id: str, resolution: str, note: str, actor: str
) -> Any:
    row = connection.execute(
        update(dead_letter)
        .where(dead_letter.c.id == dead_letter_id, dead_letter.c.resolution.is_(None))
        .values(resolution=resolution, note=note, resolved_at=now(connection))
        .returning(dead_letter)
    ).one_or_none()
    if row is None:
        message = f"no open dead letter {dead_letter_id}"
        raise NotFound(message)
    audit.record(
        connection,
        Event(
            action=f"dead_letter.{resolution}",
            subject=row.subject,
            actor=actor,
            data={"dead_letter": dead_letter_id},
        ),
    )
    return row
