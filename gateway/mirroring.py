"""Brings the providers' own lists of blocked people into line with ours.

What a job tells the provider is looked up when it is claimed, and the jobs of a contact
run one after the other: whatever order changes and repetitions come in, the last word
is how it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Row, select

from gateway import audit, blocks, jobs
from gateway.channel import Channel
from gateway.errors import DeliveryError
from gateway.jobs import Burial, Claim, ClaimRequest, Retry
from gateway.model import Address, Event
from gateway.store import schema
from gateway.targets import CHANNEL, queue_of
from gateway.workers import Crew, bury_all, retry_all

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A contact whose provider is to be told; without address if we don't know one.

    ``awaits``: something is on its way to them, which the provider would then refuse.
    """

    claim: Claim
    address: Address | None
    blocked: bool
    awaits: bool = False


def claim_wishes(
    connection: Connection, requests: Sequence[ClaimRequest]
) -> list[list[Wish]]:
    """Claim contacts whose block has changed, as they stand now."""
    claims = jobs.claim(connection, requests)
    ids = {claim.subject for each in claims for claim in each}
    if not ids:
        return [[] for _ in claims]
    channels = {blocks.channel_of(claim.queue) for each in claims for claim in each}
    blocked = blocks.since(connection, ids)
    threads = _threads(connection, channels, ids)
    awaited = _awaited(connection, channels, threads)
    return [
        [
            Wish(
                claim=claim,
                address=Address.parse(thread.reply_to) if thread else None,
                blocked=claim.subject in blocked,
                awaits=thread is not None and thread.id in awaited,
            )
            for claim in each
            for thread in [threads.get((claim.queue, claim.subject))]
        ]
        for each in claims
    ]


def _threads(
    connection: Connection, channels: set[str], contact_ids: set[str]
) -> Mapping[tuple[str, str], Row[Any]]:
    """Return the conversation of each contact, by queue and contact."""
    table = schema.conversation
    rows = connection.execute(
        select(table).where(
            table.c.channel.in_(channels), table.c.contact_id.in_(contact_ids)
        )
    )
    return {(blocks.queue_of(row.channel), row.contact_id): row for row in rows}


def _awaited(
    connection: Connection,
    channels: set[str],
    threads: Mapping[tuple[str, str], Row[Any]],
) -> set[str]:
    """Return the conversations in which something is still to be sent."""
    job = schema.job
    queues = {queue_of(f"{CHANNEL}:{channel}") for channel in channels}
    lanes = {thread.id for thread in threads.values()}
    found = connection.execute(
        select(job.c.lane).where(job.c.queue.in_(queues), job.c.lane.in_(lanes))
    )
    return set(found.scalars())


class Mirror:
    """Tells the provider of one channel."""

    def __init__(
        self, channel: Channel[Any], crew: Crew, *, max_age: timedelta, timeout: float
    ) -> None:
        """Tell by ``channel``; give a contact up at ``max_age``."""
        self._channel = channel
        self._crew = crew
        self._max_age = max_age
        self._timeout = timeout

    async def handle(self, wish: Wish) -> None:
        """Tell the provider how a contact stands, and record what came of it."""
        if wish.address is None:
            await self._crew.store.run(lambda c: jobs.finish(c, [wish.claim]))
            return
        if wish.blocked and wish.awaits:
            await self._again(wish.claim)
            return
        try:
            code = await self._tell(wish.address, blocked=wish.blocked)
        except DeliveryError as error:
            await self._failed(wish.claim, error)
            return
        await self._crew.store.run(lambda c: self._record(c, wish, code))

    async def _tell(self, address: Address, *, blocked: bool) -> str | None:
        """Call plugin code; whatever goes wrong becomes a `DeliveryError`."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._channel.set_blocked(address, blocked=blocked)
        except DeliveryError:
            raise
        except TimeoutError:
            text = f"no answer within {self._timeout:g} s"
            raise DeliveryError("timeout", text, retryable=True) from None
        except Exception as error:
            log.exception("mirror_failed", channel=self._channel.id)
            kind = type(error).__name__
            raise DeliveryError("plugin_failed", kind, retryable=True) from error

    def _record(self, connection: Connection, wish: Wish, code: str | None) -> None:
        jobs.finish(connection, [wish.claim])
        event = Event(
            action="contact.block_mirrored",
            subject=wish.claim.subject,
            actor="gateway",
            data={
                "channel": self._channel.id,
                "blocked": wish.blocked,
                "done": code is None,
                "code": code or "",
            },
        )
        audit.record(connection, event)

    async def _failed(self, claim: Claim, error: DeliveryError) -> None:
        store, age = self._crew.store, self._crew.clock.now() - claim.created_at
        if error.retryable and age < self._max_age:
            await self._again(claim, error.retry_after)
            return
        code = "expired" if error.retryable else error.code
        burial = Burial(claim=claim, code=code, reason=f"{error.code}: {error.text}")
        await store.run_batched(bury_all, burial)

    async def _again(self, claim: Claim, retry_after: float | None = None) -> None:
        delay = self._crew.delay(claim.attempt, retry_after)
        retry = Retry(claim=claim, due_at=self._crew.clock.now() + delay)
        await self._crew.store.run_batched(retry_all, retry)
