"""Attachments that are still to be fetched, and who waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from gateway import jobs
from gateway.jobs import NewJob
from gateway.model import AttachmentState, Message
from gateway.store.units import now


def fetch_queue(channel: str) -> str:
    """Name the queue of a channel's attachments that are still to be fetched."""
    return f"fetch:{channel}"


def is_pending(message: Message) -> bool:
    """Tell whether an attachment is still to come."""
    return any(a.state is AttachmentState.PENDING for a in message.attachments)


def due(
    connection: Connection, message: Message, patience: timedelta
) -> datetime | None:
    """Return until when a delivery waits for the attachments of ``message``."""
    return now(connection) + patience if is_pending(message) else None


def enqueue(connection: Connection, said: Sequence[Message]) -> set[str]:
    """Let the attachments of messages be fetched; return the queues with new work."""
    new = [
        NewJob(queue=fetch_queue(each.channel), lane=each.id, subject=each.id)
        for each in said
        if is_pending(each)
    ]
    jobs.enqueue(connection, new)
    return {job.queue for job in new}
