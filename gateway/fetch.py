"""Fetches attachments after the acknowledgement, for as long as it may help.

A delivery waits for its attachments up to a limit; what arrives later follows it, what
never arrives leaves a note.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import Connection, or_, select

from gateway import audit, inbox, jobs, messages, outbox
from gateway.attachments import AttachmentStore
from gateway.errors import AttachmentError
from gateway.jobs import Claim, ClaimRequest, Retry
from gateway.model import Attachment, AttachmentState, DeliveryState, Event, Original
from gateway.outbox import NewDelivery
from gateway.store import schema
from gateway.targets import SERVICE
from gateway.workers import Crew, retry_all

log = structlog.get_logger()

FetchCall = Callable[[Original, Attachment], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A claimed message whose attachments are to be fetched."""

    claim: Claim
    original: Original
    attachments: tuple[Attachment, ...]


def claim_errands(
    connection: Connection, requests: Sequence[ClaimRequest]
) -> list[list[Errand]]:
    """Claim messages that have attachments to fetch."""
    claims = jobs.claim(connection, requests)
    ids = [claim.subject for each in claims for claim in each]
    if not ids:
        return [[] for _ in claims]
    originals = {i.id: i.original for i in inbox.load(connection, ids)}
    files = messages.load_attachments(connection, ids)
    by_id = {str(key): value for key, value in originals.items()}
    return [
        [
            Errand(
                claim=claim,
                original=by_id[claim.subject],
                attachments=tuple(files.get(claim.subject, ())),
            )
            for claim in each
        ]
        for each in claims
    ]


class Fetcher:
    """Fetches for one channel."""

    def __init__(
        self,
        crew: Crew,
        fetch: FetchCall,
        attachments: AttachmentStore,
        *,
        max_age: timedelta,
    ) -> None:
        """Fetch with the channel's ``fetch``; give up at ``max_age``."""
        self._crew = crew
        self._fetch = fetch
        self._attachments = attachments
        self._max_age = max_age

    async def handle(self, errand: Errand) -> None:
        """Fetch what is pending; record each result, and what is left to do."""
        fetched: dict[int, Attachment] = {}
        delay: timedelta | None = None
        for position, attachment in enumerate(errand.attachments):
            if attachment.state is not AttachmentState.PENDING:
                continue
            try:
                fetched[position] = await fetch_one(
                    self._fetch, self._attachments, errand.original, attachment
                )
            except AttachmentError as error:
                if self._hopeless(errand, error):
                    fetched[position] = replace(
                        attachment, state=AttachmentState.LOST, note=error.code
                    )
                else:
                    wait = self._crew.delay(errand.claim.attempt, error.retry_after)
                    delay = max(delay or wait, wait)
        await self._record(errand, fetched, delay)

    def _hopeless(self, errand: Errand, error: AttachmentError) -> bool:
        age = self._crew.clock.now() - errand.claim.created_at
        return not error.retryable or age >= self._max_age

    async def _record(
        self, errand: Errand, fetched: dict[int, Attachment], delay: timedelta | None
    ) -> None:
        """Record in one unit; what still fails is tried again later."""

        def work(connection: Connection) -> set[str]:
            _note(connection, errand, fetched)
            if delay is None:
                jobs.finish(connection, [errand.claim])
                return _release(connection, errand.claim.subject)
            due_at = self._crew.clock.now() + delay
            retry_all(connection, [Retry(claim=errand.claim, due_at=due_at)])
            return set()

        for queue in await self._crew.store.run(work):
            self._crew.wakeups.wake(queue)


def _note(
    connection: Connection, errand: Errand, fetched: dict[int, Attachment]
) -> None:
    message_id = errand.claim.subject
    for position, attachment in fetched.items():
        messages.update_attachment(connection, message_id, position, attachment)
        data = {"position": position, "note": attachment.note}
        event = Event(
            action=f"attachment.{attachment.state.value}",
            subject=message_id,
            actor="gateway",
            data=data,
        )
        audit.record(connection, event)


def _release(connection: Connection, message_id: str) -> set[str]:
    """Let waiting deliveries go; one that went without the files gets them after."""
    queues = outbox.wake_source(connection, message_id)
    table = schema.delivery
    gone = connection.execute(
        select(table)
        .outerjoin(schema.job, schema.job.c.subject == table.c.id)
        .where(
            table.c.source_id == message_id,
            or_(
                table.c.purpose.in_([outbox.HANDOVER, outbox.ADDITION]),
                table.c.purpose.startswith(outbox.FORWARDED),
            ),
            table.c.target.startswith(f"{SERVICE}:"),
            # What was passed on is now another delivery's to complete.
            table.c.state != DeliveryState.PASSED_ON.value,
            schema.job.c.id.is_(None),
        )
    ).all()
    follow_ups = [
        NewDelivery(
            message_id=row.message_id,
            target=row.target,
            purpose=outbox.FOLLOW_UP,
            recipient=row.recipient,
            lane=row.case_id or row.id,
            case_id=row.case_id,
            source_id=message_id,
        )
        for row in gone
    ]
    return queues | outbox.enqueue(connection, follow_ups)


async def fetch_one(
    fetch: FetchCall,
    attachments: AttachmentStore,
    original: Original,
    attachment: Attachment,
) -> Attachment:
    """Fetch and store an attachment; return it with what was measured.

    Raises:
        AttachmentError: it can't be had, now or ever.

    """
    try:
        stored = await attachments.put(
            fetch(original, attachment), claimed_digest=attachment.digest
        )
    except AttachmentError:
        raise
    except Exception as error:
        log.exception("fetch_failed", channel=original.channel)
        code = type(error).__name__
        raise AttachmentError(code, "failed", retryable=True) from error
    return replace(
        attachment,
        state=AttachmentState.STORED,
        sha256=stored.sha256,
        size=stored.size,
        media_type=stored.media_type,
        seconds=stored.seconds,
    )
