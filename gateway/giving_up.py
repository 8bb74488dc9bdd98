"""Deliveries that their target won't take: up the ladder of answers, or to staff."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from gateway import jobs, ladder, outbox
from gateway.ladder import Ladder
from gateway.outbox import Dead


def give_up(
    connection: Connection, dead: Sequence[Dead], rungs: Ladder
) -> list[set[str] | None]:
    """Let answers go on as the city wants it; the rest becomes dead letters.

    Returns the queues with new work for each, None for those that are staff's now.

    Raises:
        StaleClaim: one is no longer ours to record.

    """
    went = [
        None
        if each.doubtful
        else ladder.climb(connection, rungs, each.parcel.id, each.code)
        for each in dead
    ]
    pairs = list(zip(dead, went, strict=True))
    gone_on = [each.parcel.claim for each, queues in pairs if queues is not None]
    if gone_on:
        jobs.finish(connection, gone_on)
    if buried := [each for each, queues in pairs if queues is None]:
        outbox.record_dead(connection, buried)
    return went
