"""What a message costs at 1,000,000 stored messages against 1,000, on both databases.

Stored messages are done: they went the whole way. On top of them come new ones, step by
step as in the daemon: taken in, claimed, recorded, claimed for delivery, sent.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import TypeVar

from figures import Figure, compare
from gateway_whatsapp.parse import parse
from gateway_whatsapp.split import split
from load import NUMBER, webhooks
from plans import Plans, keep_plans
from processes import postgresql
from seed import seed
from sqlalchemy import Connection, create_engine, text

from gateway import audit
from gateway.cases import Joining, Numbering
from gateway.city import City
from gateway.clock import SystemClock
from gateway.inbox import PROCESS, Arrival, store_arrivals
from gateway.jobs import ClaimRequest
from gateway.model import (
    Assignment,
    ChannelId,
    Message,
    MessageState,
    Receipt,
    ReceiptStatus,
    ServiceId,
)
from gateway.outbox import Parcel, Sent, claim_parcels, record_sent
from gateway.outcome import Outcome
from gateway.pipeline import Arrived, claim_arrived
from gateway.records import Recorder
from gateway.store import Store, open_store
from gateway.store.migrate import prepare
from gateway.targets import queue_of
from gateway.texts import Texts

FEW, MANY = 1_000, 1_000_000
GROUP, GROUPS, WARM_UP = 64, 30, 5
LIMIT = 1.2
STRADE = ServiceId("strade")
RECORDER = Recorder(
    City(
        texts=Texts("it"),
        services={STRADE: "Strade"},
        numbering=Numbering(pattern="URP-{year}-{number:06}", timezone=UTC),
        joining=Joining(within=timedelta(hours=1)),
        acknowledge=False,
        wait_for_attachments=timedelta(0),
    )
)

T = TypeVar("T")


def measure(rounds: int) -> list[Figure]:
    """Measure both databases, each with few and with many messages in turn."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        figures = asyncio.run(
            _measure("sqlite", lambda db: f"sqlite:///{folder}/{db}.db", rounds)
        )
        with postgresql(folder) as url:
            figures += asyncio.run(
                _measure("postgresql", lambda db: _database(url, db), rounds)
            )
    return figures


def _database(server: str, name: str) -> str:
    """Make a database; return its URL."""
    engine = create_engine(
        server.replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rsplit("/", 1)[0] + f"/{name}"


async def _measure(
    database: str, url_of: Callable[[str], str], rounds: int
) -> list[Figure]:
    new = webhooks(10**9, first=10**9)
    few: list[Costs] = []
    many: list[Costs] = []
    plans = Plans()
    with ExitStack() as stack:
        large = await _filled(stack, url_of("many"), MANY)
        await _costs(large, new, WARM_UP)
        with plans.noting():
            await _costs(large, new, 1)
        for number in range(rounds):
            with ExitStack() as round_:
                small = await _filled(round_, url_of(f"few{number}"), FEW)
                await _costs(small, new, WARM_UP)
                few.append(await _costs(small, new, GROUPS))
            many.append(await _costs(large, new, GROUPS))
        keep_plans(database, await large.read(plans.explain))
    return [
        _figure(f"growth-1e6-{step}-{database}", step, few, many)
        for step in ("intake", "claim", "record")
    ]


def _figure(
    name: str, step: str, few: Sequence[Costs], many: Sequence[Costs]
) -> Figure:
    return compare(
        name,
        [getattr(costs, step) for costs in many],
        [getattr(costs, step) for costs in few],
        unit="µs/message",
        against=f"at {FEW:,}",
        at_most=LIMIT,
    )


async def _filled(stack: ExitStack, url: str, messages: int) -> Store:
    """Open a new database with so many messages in it, tidied as its server does."""
    prepare(url)
    store = open_store(url, SystemClock(), seal=audit.seal, exclusive=True)
    stack.callback(store.close)
    await seed(store, messages)
    if store.dialect == "postgresql":
        engine = create_engine(
            url.replace("postgresql:", "postgresql+psycopg:"),
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()
    return store


@dataclass(slots=True)
class Costs:
    """Microseconds a message, by step."""

    intake: float = 0.0
    claim: float = 0.0
    record: float = 0.0


async def _costs(store: Store, new: Iterator[bytes], groups: int) -> Costs:
    """Send groups of new messages the whole way."""
    costs = Costs()

    async def run(step: str, work: Callable[[Connection], T]) -> T:
        began = time.perf_counter()
        result = await store.run(work)
        took = (time.perf_counter() - began) * 1e6 / (GROUP * groups)
        setattr(costs, step, getattr(costs, step) + took)
        return result

    for _ in range(groups):
        arrivals = [_arrival(next(new)) for _ in range(GROUP)]
        await run("intake", lambda c, a=arrivals: store_arrivals(c, a))
        (arrived,) = await run("claim", lambda c: claim_arrived(c, [_ask(PROCESS)]))
        decided = [(each.claim, _outcome(each)) for each in arrived]
        await run("record", lambda c, d=decided: RECORDER.record_outcomes(c, d))
        ask = _ask(queue_of(f"service:{STRADE}"))
        (parcels,) = await run("claim", lambda c, a=ask: claim_parcels(c, [a]))
        sent = [_sent(parcel) for parcel in parcels]
        await run("record", lambda c, s=sent: record_sent(c, s))
        if {len(arrived), len(parcels)} != {GROUP}:
            raise RuntimeError(f"{len(arrived)} and {len(parcels)} of {GROUP} claimed")
    return costs


def _arrival(body: bytes) -> Arrival:
    return Arrival(ChannelId("urp"), body, {}, split(body, NUMBER).items)


def _ask(queue: str) -> ClaimRequest:
    return ClaimRequest(
        queue=queue, owner="bench", limit=GROUP, lease=timedelta(minutes=1)
    )


def _outcome(arrived: Arrived) -> Outcome:
    message = parse(arrived.inbound)
    if not isinstance(message, Message):
        raise TypeError(message)
    return Outcome(
        message=message,
        state=MessageState.PROCESSED,
        reason="",
        verdicts=(),
        assignment=Assignment(service=STRADE, reason="words: buca", source="routing"),
    )


def _sent(parcel: Parcel) -> Sent:
    receipt = Receipt(
        status=ReceiptStatus.SENT,
        at=parcel.created_at,
        external_id=f"theirs-{parcel.id}",
    )
    return Sent(parcel=parcel, receipt=receipt)
