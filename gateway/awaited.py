"""Receipts that must still come: when to warn of it, and when to tell staff.

Two jobs for each delivery that waits, so that they survive restarts and belong to
every node: one warns, again and again, one ends in the dead letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from gateway import dead_letters, fallback, jobs
from gateway.fallback import PassOn, Successors
from gateway.jobs import Burial, Claim, ClaimRequest, NewJob, Retry
from gateway.model import DeliveryState, Expectation, Receipt, ReceiptStatus
from gateway.store import schema
from gateway.store.units import now

LATE: Final = "receipts-late"
"""The queue of warnings."""

MISSING: Final = "receipts-missing"
"""The queue of alarms."""

_REMINDER = timedelta(hours=1)
_PREFIX = "receipts:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A claimed warning or alarm; ``open``: the last word has not come yet."""

    claim: Claim
    delivery_id: str
    target: str
    open: bool


def subject_of(delivery_id: str) -> str:
    """Name the work of watching a delivery, apart from that of delivering it."""
    return f"{_PREFIX}{delivery_id}"


def expect(connection: Connection, delivery_id: str, receipt: Receipt) -> None:
    """Watch for what ``receipt`` promises, instead of what an earlier one did.

    One that comes after a later one's word only tells how many recipients there are,
    and so does the word on one of them while the others' are awaited.
    """
    expects = receipt.expects
    if expects is None:
        return
    if expects.recipients is not None:
        connection.execute(
            update(schema.delivery)
            .where(schema.delivery.c.id == delivery_id)
            .values(awaits=expects.recipients)
        )
    if expects.recipients != 0 and (
        _is_outdated(connection, delivery_id, receipt)
        or (
            receipt.status is ReceiptStatus.DELIVERED
            and _is_on(connection, delivery_id)
        )
    ):
        return
    end(connection, delivery_id)
    if expects.recipients != 0:
        jobs.enqueue(connection, _watches(delivery_id, receipt, expects))


def _is_outdated(connection: Connection, delivery_id: str, receipt: Receipt) -> bool:
    table = schema.receipt
    # Of what was received only: our own clock is another.
    later = select(table.c.id).where(
        table.c.delivery_id == delivery_id,
        table.c.inbox_id.is_not(None),
        table.c.at > receipt.at,
    )
    return connection.execute(later).first() is not None


def _is_on(connection: Connection, delivery_id: str) -> bool:
    job = schema.job
    watch = select(job.c.id).where(job.c.subject == subject_of(delivery_id))
    return connection.execute(watch).first() is not None


def _watches(delivery_id: str, receipt: Receipt, expects: Expectation) -> list[NewJob]:
    pauses = {LATE: expects.warn_after, MISSING: expects.within}
    return [
        NewJob(
            queue=queue,
            lane=delivery_id,
            subject=subject_of(delivery_id),
            due_at=receipt.at + pause,
        )
        for queue, pause in pauses.items()
        if pause is not None
    ]


def end(connection: Connection, delivery_id: str) -> None:
    """Watch no more."""
    jobs.cancel(connection, subject_of(delivery_id))


def settle(connection: Connection, delivery_id: str) -> None:
    """Watch no more, and take an alarm back: the last word has come after all."""
    end(connection, delivery_id)
    letter = schema.dead_letter
    letters = connection.execute(
        select(letter.c.id).where(
            letter.c.queue == MISSING,
            letter.c.subject == subject_of(delivery_id),
            letter.c.resolution.is_(None),
        )
    )
    for letter_id in letters.scalars().all():
        dead_letters.discard(connection, letter_id, "the receipt has come", "gateway")


def claim(
    connection: Connection, requests: Sequence[ClaimRequest]
) -> list[list[Watch]]:
    """Claim watches together with how their deliveries stand."""
    claims = jobs.claim(connection, requests)
    ids = [held.subject.removeprefix(_PREFIX) for each in claims for held in each]
    table = schema.delivery
    rows = connection.execute(select(table).where(table.c.id.in_(ids))) if ids else ()
    known = {row.id: row for row in rows}
    return [[_watch(held, known) for held in each] for each in claims]


def _watch(held: Claim, known: Mapping[str, Any]) -> Watch:
    delivery_id = held.subject.removeprefix(_PREFIX)
    row = known.get(delivery_id)
    return Watch(
        claim=held,
        delivery_id=delivery_id,
        target=str(getattr(row, "target", "")),
        open=getattr(row, "state", "") == DeliveryState.SENT.value,
    )


def remind(connection: Connection, watches: Sequence[Watch]) -> list[None]:
    """Keep warnings for another hour, or drop those that are settled.

    Raises:
        StaleClaim: a receipt has come meanwhile, or another worker has it.

    """
    due_at = now(connection) + _REMINDER
    retries = [Retry(claim=w.claim, due_at=due_at) for w in watches if w.open]
    if retries:
        jobs.retry(connection, retries)
    _drop(connection, watches)
    return [None] * len(watches)


def alarm(
    connection: Connection,
    watches: Sequence[Watch],
    successors: Successors | None = None,
) -> list[None]:
    """Put what is still without its last word among the dead letters.

    If its target has a successor, that one gets it.

    Raises:
        StaleClaim: a receipt has come meanwhile, or another worker has it.

    """
    successors = successors or {}
    moves = [w for w in watches if w.open and w.target in successors]
    if moves:
        _pass_on(connection, moves, successors)
    rest = [watch for watch in watches if watch not in moves]
    burials = [
        Burial(
            claim=watch.claim,
            code="no_receipt",
            reason=f"no word on delivery {watch.delivery_id} in the time for it:"
            " ask the provider, or send it another way",
        )
        for watch in rest
        if watch.open
    ]
    if burials:
        jobs.bury(connection, burials)
    _drop(connection, rest)
    for watch in watches:
        end(connection, watch.delivery_id)
    return [None] * len(watches)


def _pass_on(
    connection: Connection, watches: Sequence[Watch], successors: Successors
) -> None:
    jobs.finish(connection, [watch.claim for watch in watches])
    moves = [
        PassOn(
            delivery_id=watch.delivery_id,
            to=successors[watch.target],
            code="no_receipt",
            doubtful=True,
        )
        for watch in watches
    ]
    fallback.pass_on(connection, moves)


def _drop(connection: Connection, watches: Sequence[Watch]) -> None:
    settled = [watch.claim for watch in watches if not watch.open]
    if settled:
        jobs.finish(connection, settled)


def count_late(connection: Connection) -> int:
    """Return how many deliveries wait for a receipt that is late."""
    job = schema.job
    return connection.execute(
        select(func.count()).where(job.c.queue == LATE, job.c.attempts > 0)
    ).scalar_one()
