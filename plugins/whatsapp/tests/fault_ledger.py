"""What must hold after every fault, read from the simulator and from the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from gateway_whatsapp.simulator import CloudApiSimulator
from gateway_whatsapp.simulator.payloads import value_of
from sqlalchemy import select
from whatsapp_town import Town

from gateway.receipts import RANK
from gateway.store import schema

_OPEN = {"pending", "sending", "unknown"}


@dataclass
class Watch:
    """Which states each delivery was seen in, in order."""

    town: Town
    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def look(self) -> None:
        """Note the states as they stand."""
        for row in await rows(self.town, schema.delivery):
            before = self.seen[row.id]
            if not before or before[-1] != row.state:
                before.append(row.state)

    async def keep_looking(self) -> None:
        """Note them again and again."""
        while True:
            await self.look()
            await asyncio.sleep(0.005)

    def gone_back(self) -> list[str]:
        """Return the deliveries whose state went back."""
        return [
            f"{key}: went {' -> '.join(states)}"
            for key, states in self.seen.items()
            if [RANK[s] for s in states] != sorted(RANK[s] for s in states)
        ]


@contextlib.asynccontextmanager
async def watching(town: Town) -> AsyncIterator[Watch]:
    """Watch the deliveries meanwhile."""
    watch = Watch(town)
    task = asyncio.create_task(watch.keep_looking())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def rows(town: Town, table: Any) -> list[Any]:
    """Return the rows of a table."""
    return list(await town.gateway.store.read(lambda c: c.execute(select(table)).all()))


def wamids(said: list[dict[str, Any]]) -> list[str]:
    """Return the ids of messages that citizens wrote."""
    return [str(value_of(payload)["messages"][0]["id"]) for payload in said]


_QUIET = 4
"""Looks in a row at which nothing was left to do."""


async def settle(town: Town, written: list[str]) -> None:
    """Wait until all is in the database, nothing is left to do, nothing to be told."""
    quiet = 0
    async with asyncio.timeout(30):
        # A status that comes twice may be between Meta and the database just now.
        while quiet < _QUIET:
            # What is sent from here on has statuses that nobody has waited for.
            sent = len(town.meta.sent)
            await town.meta.settled()
            known = {row.external_id for row in await rows(town, schema.inbox)}
            is_done = set(written) <= known and not await rows(town, schema.job)
            quiet = quiet + 1 if is_done and sent == len(town.meta.sent) else 0
            await asyncio.sleep(0.05)


async def complaints(town: Town, written: list[str]) -> list[str]:
    """Return every promise that is broken; duplicates are counted by `doubles`."""
    return [
        *_once("inbox", [row.external_id for row in await _messages(town)], written),
        *_once("message", [row.external_id for row in await _inbound(town)], written),
        *_once(
            "handed over", [h.message.external_id for h in town.offices.got], written
        ),
        *_unnoticed(town.meta, written),
        *(await _numberless(town)),
        *(await _unfinished(town)),
    ]


def _once(where: str, found: list[str], written: list[str]) -> list[str]:
    counts = Counter(found)
    wrong = {key: counts[key] for key in {*counts, *written} if counts[key] != 1}
    strange = counts.keys() - set(written)
    return [f"{where}: {key} {n} times" for key, n in wrong.items()] + [
        f"{where}: {key} nobody wrote" for key in strange
    ]


async def _messages(town: Town) -> list[Any]:
    return [row for row in await rows(town, schema.inbox) if row.kind == "message"]


async def _inbound(town: Town) -> list[Any]:
    return [r for r in await rows(town, schema.message) if r.direction == "in"]


def _unnoticed(meta: CloudApiSimulator, written: list[str]) -> list[str]:
    quoted = {sent.context_id for sent in meta.sent}
    return [f"no notice about {wamid}" for wamid in written if wamid not in quoted]


async def _numberless(town: Town) -> list[str]:
    """Return the cases whose number no citizen reads."""
    read = "\n".join(sent.text for sent in town.meta.sent)
    cases = await rows(town, schema.cases)
    return [f"{c.number} is told to nobody" for c in cases if c.number not in read]


async def _unfinished(town: Town) -> list[str]:
    """Return what is open, held or dead, though nothing is left to do."""
    deliveries = await rows(town, schema.delivery)
    inbound = await _inbound(town)
    return [
        *(f"job {row.queue} open" for row in await rows(town, schema.job)),
        *(f"dead: {r.code} {r.reason}" for r in await rows(town, schema.dead_letter)),
        *(f"delivery {row.id} {row.state}" for row in deliveries if row.state in _OPEN),
        *(f"message {row.id} {row.state}" for row in inbound if row.state == "held"),
    ]


def doubles(meta: CloudApiSimulator, failed: int = 0) -> int:
    """Count what citizens got twice; ``failed`` of the messages never reached them."""
    tokens = Counter(sent.biz_opaque_callback_data for sent in meta.sent)
    return sum(count - 1 for count in tokens.values()) - failed
