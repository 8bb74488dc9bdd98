"""A small city under a virtual clock: everything that may go wrong, by one seed.

Time, ids, randomness, transport and store are injected, and nothing runs in a thread,
so a seed always tells the same story.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import looptime
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from gateway import audit, depths, identity
from gateway.app import Gateway, Parts
from gateway.channel import Channel, ChannelType
from gateway.config import Document, NoConfig, Section, load
from gateway.connector import Connector, ConnectorType
from gateway.errors import DeliveryError, StaleClaim, StoreError, StoreUnavailable
from gateway.host import PluginHost
from gateway.model import (
    Action,
    Address,
    Assignment,
    Handover,
    Inbound,
    Item,
    Message,
    MessageId,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Semantics,
    ServiceId,
    Verdict,
)
from gateway.payload import Payload
from gateway.plugin import Plugin, hookimpl
from gateway.setup import kinds_of
from gateway.store import Store, schema
from gateway.store.engine import tune_writer
from gateway.store.units import Engines, _Outcome, _settle, _Unit

EPOCH = datetime(2026, 12, 31, 22, 0, tzinfo=UTC)
"""An hour before the city's new year: case numbers cross a year."""

CONFIG = """
[gateway]
name = "Simulation"
plugins = ["sim"]
default_service = "keyed"
[web]
min_free_bytes = 0
[store]
data = "{data}"
[outbox]
backoff_seconds = 1
backoff_cap_seconds = 20
lease_seconds = 30
breaker_seconds = 10
max_age_hours = 1
[pipeline]
poll_seconds = 5
max_crashes = 50
[channels.phone]
type = "sim"
[services.keyed]
name = "K"
connectors = [{{ type = "keyed" }}]
[services.queryable]
name = "Q"
connectors = [{{ type = "queryable" }}]
[services.blind]
name = "B"
connectors = [{{ type = "blind" }}]
"""


class VirtualClock:
    """Time as the event loop counts it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()


@dataclass
class Chaos:
    """How often things go wrong, until somebody heals the world.

    ``fenced`` counts commits after a stall that came too late: the job was another's.
    """

    chance: random.Random
    store: float
    transport: float
    healed: bool = False
    fenced: int = 0

    def strikes(self, probability: float) -> bool:
        return not self.healed and self.chance.random() < probability


class InlineStore(Store):
    """One node's way to the database: the real units, committed on the loop, faulty."""

    def __init__(
        self, engines: Engines, clock: VirtualClock, chaos: Chaos, *, alone: bool
    ) -> None:
        self._engines = engines
        self._clock = clock
        self._seal = audit.seal
        self._chaos = chaos
        self._alone = alone
        self._waiting: list[_Unit] = []
        self._stalled_until = 0.0
        self._late = False
        self.on_group = lambda size: None
        self.on_events = lambda events: None

    @property
    def dialect(self) -> str:
        """Tell the gateway whether it must reckon with other nodes."""
        return "sqlite" if self._alone else "postgresql"

    def stall(self, seconds: float) -> None:
        """Let nothing through for a while; what was on its way comes after."""
        self._stalled_until = self._clock.monotonic() + seconds
        self._late = True

    @property
    def _stalled_for(self) -> float:
        return max(0.0, self._stalled_until - self._clock.monotonic())

    def _submit(self, work, item, *, batched):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._waiting:
            loop.call_later(self._chaos.chance.uniform(0.0001, 0.01), self._flush)
        self._waiting.append(_Unit(work, item, batched, future, None))
        return future

    def _flush(self) -> None:
        if self._stalled_for:
            loop = asyncio.get_running_loop()
            loop.call_later(self._stalled_for, self._flush)
            return
        group, self._waiting = self._waiting, []
        if self._chaos.strikes(self._chaos.store):
            _settle([_Outcome(u, error=StoreUnavailable("down")) for u in group])
            return
        outcomes = self.commit(group)
        if self._late:
            self._late = False
            self._chaos.fenced += sum(isinstance(o.error, StaleClaim) for o in outcomes)
        if self._chaos.strikes(self._chaos.store):
            # Committed, but nobody is told: the outcome of COMMIT is unknown.
            lost = StoreUnavailable("connection lost during COMMIT")
            outcomes = [_Outcome(o.unit, error=lost) for o in outcomes]
        _settle(outcomes)

    async def read(self, work):
        await asyncio.sleep(self._stalled_for)
        if self._chaos.strikes(self._chaos.store):
            raise StoreUnavailable("down")
        return self._read(work)


@dataclass
class City:
    """The outside: what was sent, acknowledged, and took effect."""

    chaos: Chaos
    acknowledged: set[str] = field(default_factory=set)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    interrupted: int = 0
    arrivals: list[tuple[str, str]] = field(default_factory=list)

    async def take(self, target: str, key: str, message: str) -> Receipt:
        """Take a hand-over, or fail in one of the ways of the world."""
        chance = self.chaos.chance
        await asyncio.sleep(chance.uniform(0.001, 0.5))
        if self.chaos.strikes(self.chaos.transport):
            how = chance.choice(["refused", "lost", "hangs", "bug"])
            if how == "refused":
                after = chance.choice([None, 3.0])
                raise DeliveryError("busy", "no", retryable=True, retry_after=after)
            if how == "bug":
                raise ZeroDivisionError
            self._effect(target, key, message)
            self.unknown[target, key] += 1
            if how == "hangs":
                await asyncio.sleep(3600)
            raise DeliveryError("lost", "reply", retryable=True, unknown=True)
        self._effect(target, key, message)
        at = EPOCH
        return Receipt(status=ReceiptStatus.SENT, at=at, external_id=f"{target}:{key}")

    def _effect(self, target: str, key: str, message: str) -> None:
        if target == "keyed" and self.effects[target, key]:
            return  # the target knows our key: a repetition has no effect
        self.effects[target, key] += 1
        self.arrivals.append((target, message))


def plugin(city: City) -> Plugin[NoConfig]:
    """Return a plugin with a channel and a connector of each kind."""

    class Phone(Channel[Section]):
        grace_seconds = 5.0

        def parse(self, inbound: Inbound) -> Message | Receipt:
            said = Payload.from_json(inbound.original.body)
            return Message(
                id=MessageId(inbound.id),
                channel=self.id,
                external_id=inbound.external_id,
                sender=Address("sim", said.text("from")),
                sent_at=inbound.original.received_at,
                received_at=inbound.original.received_at,
                text=said.text("text"),
            )

        async def send(self, outgoing: Outgoing) -> Receipt:
            return await city.take("phone", outgoing.delivery_id, outgoing.text)

    def connector(kind: Semantics) -> type[Connector[Section]]:
        class Office(Connector[Section]):
            semantics = kind
            grace_seconds = 5.0

            async def deliver(self, handover: Handover) -> Receipt:
                message = handover.message.external_id
                return await city.take(kind.value, handover.delivery_id, message)

            async def resolve(self, handover: Handover) -> Receipt | None:
                await asyncio.sleep(0.01)
                key = handover.delivery_id
                if not city.effects[kind.value, key]:
                    return None
                return Receipt(status=ReceiptStatus.SENT, at=EPOCH, external_id=key)

        return Office

    class Simulated(Plugin[NoConfig]):
        @hookimpl
        def register_channels(self) -> list[ChannelType]:
            return [ChannelType("sim", Section, Phone)]

        @hookimpl
        def register_connectors(self) -> list[ConnectorType]:
            return [
                ConnectorType(kind.value, Section, connector(kind))
                for kind in Semantics
            ]

        @hookimpl
        async def moderate_message(self, message: Message) -> Verdict | None:
            if "hold" not in message.text:
                return None
            return Verdict(action=Action.HOLD, rule="r", reason="r", source="sim")

        @hookimpl
        async def route_message(self, message: Message):
            service = message.text.split()[-1]
            return Assignment(service=ServiceId(service), reason="", source="sim")

    return Simulated()


@dataclass
class World:
    """One run: a database that outlives the daemons that work on it.

    ``alone``: one daemon at a time. Otherwise one that stalls has a successor, and
    wakes up as a zombie: what it still wants to record is no longer its business.
    """

    seed: int
    folder: Path
    loop: asyncio.AbstractEventLoop
    chaos: Chaos
    city: City
    engines: Engines
    alone: bool

    @classmethod
    def make(cls, seed: int, folder: Path, loop: asyncio.AbstractEventLoop) -> World:
        chance = random.Random(seed)
        chaos = Chaos(
            chance,
            store=chance.choice([0.0, 0.01, 0.05]),
            transport=chance.choice([0.0, 0.1, 0.4]),
        )
        engine = create_engine("sqlite://", poolclass=StaticPool)
        tune_writer(engine, checkpoint_pages=0)
        with engine.begin() as connection:
            schema.metadata.create_all(connection)
            audit.begin(connection)
        engines = Engines(
            write=engine, read=engine, writers=0, merge=True, close=engine.dispose
        )
        alone = chance.choice([True, False])
        return cls(seed, folder, loop, chaos, City(chaos), engines, alone)

    def node(self) -> InlineStore:
        """Connect one more daemon to the database."""
        clock = VirtualClock(self.loop)
        return InlineStore(self.engines, clock, self.chaos, alone=self.alone)

    async def live(self) -> None:
        """Let citizens write, daemons crash, stall and restart; then heal, and wait."""
        chance = self.chaos.chance
        others = [asyncio.ensure_future(self._citizens())]
        for _ in range(chance.randrange(4)):
            self.city.interrupted += 1
            store, healthy = self.node(), chance.uniform(1, 40)
            daemon = asyncio.ensure_future(self._daemon(None, store))
            if self.alone or chance.choice([True, False]):
                await self._killed(daemon, healthy)
            else:
                others.append(await self._stalled(daemon, store, healthy))
        await self._daemon(asyncio.gather(*others), self.node())

    async def _stalled(
        self, daemon: asyncio.Future, store: InlineStore, healthy: float
    ) -> asyncio.Future:
        """Stall a daemon at work, mostly beyond its leases; return the rest of it."""
        chance = self.chaos.chance
        await asyncio.sleep(healthy)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                while not self.gateway.crew._held:
                    await asyncio.sleep(0.05)
        seconds = chance.uniform(10, 240)
        store.stall(seconds)
        awake = chance.uniform(1, 20)
        return asyncio.ensure_future(self._killed(daemon, seconds + awake))

    async def _killed(self, daemon: asyncio.Future, after: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after):
                await daemon

    async def _daemon(self, until: asyncio.Future | None, store: InlineStore) -> None:
        """Run one daemon; killed without ceremony by a time-out."""
        path = self.folder / "gateway.toml"
        document = Document.read(path)
        host = PluginHost()
        host.register("sim", plugin(self.city))
        settings = load(document, kinds_of(host))
        host.known_services = frozenset(settings.services)
        parts = Parts(
            clock=VirtualClock(self.loop), chance=self.chaos.chance, store=store
        )
        gateway = Gateway(settings, host, parts)
        async with contextlib.AsyncExitStack() as stack:
            await gateway._open(stack)
            self.gateway = gateway
            work = await self._started(gateway)
            try:
                await self._watch(gateway, work, until)
            finally:
                work.cancel()
                for task in list(gateway.crew._held.values()):
                    task.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _started(self, gateway: Gateway) -> asyncio.Task:
        """Start; a supervisor starts again what the store did not let start."""
        while True:
            work = gateway._work()
            await asyncio.sleep(0.05)
            if not work.done():
                return work
            gateway.crew._workers.clear()
            work.exception()

    async def _watch(self, gateway, work, until) -> None:
        if until is None:
            await asyncio.Event().wait()
        await until
        self.chaos.healed = True
        async with asyncio.timeout(6 * 3600):
            while self._open_jobs():
                await asyncio.sleep(5)

    def _open_jobs(self) -> int:
        return len(self.read(lambda c: c.execute(schema.job.select()).all()))

    def read(self, work):
        """Look at the database, from outside of every daemon."""
        return self.node()._read(work)

    async def _citizens(self) -> None:
        await asyncio.sleep(0.2)
        people = [f"p{n}" for n in range(self.chaos.chance.randrange(1, 6))]
        async with asyncio.TaskGroup() as group:
            for number in range(self.chaos.chance.randrange(5, 25)):
                group.create_task(self._write(number, people))

    async def _write(self, number: int, people: list[str]) -> None:
        """Send one message as a provider does: again until acknowledged, and twice."""
        chance = self.chaos.chance
        await asyncio.sleep(chance.uniform(0, 90))
        service = chance.choice(["keyed", "queryable", "blind"])
        text = f"{chance.choice(['ciao', 'ciao', 'ciao', 'hold'])} {service}"
        person = chance.choice(people)
        body = json.dumps({"from": person, "text": text}).encode()
        item = Item(external_id=f"m{number}", sender=person)
        times = chance.choice([1, 1, 2])
        while times:
            try:
                await self.gateway.inbox.accept("phone", body, [item])
            except (StoreError, AttributeError):
                await asyncio.sleep(1)
                continue
            self.city.acknowledged.add(item.external_id)
            times -= 1


@contextlib.contextmanager
def counted_ids() -> Iterator[None]:
    """Number ids instead of drawing them: they sort by birth, as UUIDv7 do."""
    counter = itertools.count(1)
    real, identity.new_id = identity.new_id, lambda: f"{next(counter):012d}"
    try:
        yield
    finally:
        identity.new_id = real


def run(seed: int, folder: Path) -> tuple[World, list[str]]:
    """Run one seed; return the world, and what is broken."""
    (folder / "gateway.toml").write_text(CONFIG.format(data=folder))
    loop = looptime.new_event_loop()
    with counted_ids():
        try:
            world = World.make(seed, folder, loop)
            loop.run_until_complete(world.live())
            broken = judge(world)
            world.engines.close()
            return world, broken
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


def judge(world: World) -> list[str]:
    """Hold the city's ledger against the database."""
    return world.read(lambda c: list(_broken(c, world.city)))


def _broken(connection, city: City) -> Iterator[str]:
    stored = [r.external_id for r in connection.execute(schema.inbox.select())]
    if lost := city.acknowledged - set(stored):
        yield f"I1: acknowledged and lost: {sorted(lost)}"
    if len(stored) != len(set(stored)):
        yield "I2: duplicate rows"
    said = connection.execute(
        schema.message.select().where(schema.message.c.direction == "in")
    ).all()
    dead = connection.execute(schema.dead_letter.select()).all()
    if len(said) != len(stored):
        yield f"I4: {len(stored)} stored, {len(said)} processed, {len(dead)} dead"
    if wrong := [d.code for d in dead if d.code != "expired"]:
        yield f"I4: given up for no good reason: {wrong}"
    yield from _broken_deliveries(connection, city)
    yield from _broken_order(connection, city)
    numbers = [r.number for r in connection.execute(schema.cases.select())]
    for year in {n.split("-")[1] for n in numbers}:
        mine = sorted(int(n.split("-")[2]) for n in numbers if f"-{year}-" in n)
        if mine != list(range(1, len(mine) + 1)):
            yield f"I4: numbers of {year} have gaps or doubles: {mine}"
    if (found := audit.verify(connection)).broken_at is not None:
        yield f"I7: {found.reason}"
    sent = connection.execute(
        schema.event.select().where(schema.event.c.action == "delivery.sent")
    )
    recorded = Counter(json.loads(row.data)["delivery"] for row in sent)
    if twice := [delivery for delivery, times in recorded.items() if times > 1]:
        yield f"I7: on record as sent more than once: {twice}"
    if depths.measure(connection) and any(
        d.open for d in depths.measure(connection).values()
    ):
        yield "I4: work is left open"


def _broken_order(connection, city: City) -> Iterator[str]:
    """Where nothing went wrong, each case's messages arrived as they were written."""
    if city.chaos.store or city.chaos.transport or city.interrupted:
        return
    said = connection.execute(
        schema.message.select()
        .where(schema.message.c.direction == "in")
        .order_by(schema.message.c.id)
    ).all()
    for case_id in {row.case_id for row in said if row.case_id}:
        written = [row.external_id for row in said if row.case_id == case_id]
        arrived = [m for t, m in city.arrivals if t != "phone" and m in written]
        if arrived != written:
            yield f"P5: written {written}, arrived {arrived}"


def _broken_deliveries(connection, city: City) -> Iterator[str]:
    for row in connection.execute(schema.delivery.select()):
        target = row.target.split(":")[1]
        effects = city.effects[target, row.id]
        extra = city.unknown[target, row.id]
        if row.state == "sent" and effects == 0:
            yield f"I5: {row.target} {row.id} is on record, but had no effect"
        if row.state not in {"sent", "dead"}:
            yield f"I4: {row.target} {row.id} ends as {row.state}"
        if target in {"keyed", "queryable"} and effects > 1:
            yield f"I5: {row.target} {row.id} took effect {effects} times"
        clean = not (city.chaos.store or city.interrupted)
        if clean and effects > 1 + extra:
            yield f"I5: {row.target} {row.id}: {effects} effects, {extra} unknown"
