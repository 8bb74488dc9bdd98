"""The composition root: builds a gateway from its settings, runs it, stops it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import structlog
from aiohttp import web

from gateway import (
    audit,
    awaited,
    blocks,
    deadlines,
    delivering,
    giving_up,
    inbox,
    outbox,
    reminders,
    targets,
    urging,
)
from gateway.alarms import Alarms
from gateway.attachments import AttachmentStore
from gateway.breaker import Breaker
from gateway.calendars import deadlines_of, hours_of
from gateway.cases import Joining, Numbering
from gateway.channel import Channel
from gateway.city import City
from gateway.clock import Clock, SystemClock
from gateway.config import Settings
from gateway.connections import explain
from gateway.connector import Connector
from gateway.courier import PATIENCE_SECONDS, Courier, Fallback, Target
from gateway.downloads import Downloads
from gateway.errands import fetch_queue
from gateway.errors import CannotListen
from gateway.fetch import Fetcher, claim_errands
from gateway.files import StoredFiles
from gateway.host import PluginHost
from gateway.inbox import DiskGate, Inbox
from gateway.inquiries import StoredCases
from gateway.lines import PARKED
from gateway.links import Links
from gateway.metrics import Metrics
from gateway.mirroring import Mirror, claim_wishes
from gateway.model import ChannelId, Event, Health, HealthStatus, ServiceId
from gateway.pipeline import Decider, Pipeline, claim_arrived
from gateway.plugin import Context
from gateway.readiness import Monitor
from gateway.receiving import Receivers
from gateway.records import Recorder
from gateway.reminders import Reminders
from gateway.state import StoredState
from gateway.store import Store, open_store
from gateway.store.migrate import prepare
from gateway.targets import queue_of
from gateway.texts import Texts, texts_in
from gateway.watchdog import LoopWatchdog
from gateway.web import Handler, Ops, make_app
from gateway.workers import Crew, Pace, Worker

log = structlog.get_logger()

DRAIN_SECONDS = 20.0
"""How long a graceful stop may take (`TimeoutStopSec` of the unit is longer)."""

_FETCH_SECONDS = 600.0
_CHECK_SECONDS = 20.0


@dataclass(slots=True, kw_only=True)
class Parts:
    """What varies between the daemon and a simulation."""

    clock: Clock = field(default_factory=SystemClock)
    chance: random.Random = field(default_factory=random.SystemRandom)
    store: Store | None = None


class Gateway:
    """One gateway: all its parts, and no globals."""

    def __init__(
        self, settings: Settings, host: PluginHost, parts: Parts | None = None
    ) -> None:
        """Prepare a gateway; nothing is opened before `running`."""
        parts = parts or Parts()
        self.settings = settings
        self.host = host
        self.metrics = Metrics()
        self.port: int | None = None
        self._clock = parts.clock
        self._chance = parts.chance
        self._given_store = parts.store
        self.channels: dict[ChannelId, Channel[Any]] = {}
        self.connectors: dict[ServiceId, list[Connector[Any]]] = {}
        self.breakers: dict[str, Breaker] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """Run everything inside the block; drain on the way out."""
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            await self._start(stack)
            yield self

    @contextlib.asynccontextmanager
    async def plugins_only(self) -> AsyncIterator[Gateway]:
        """Make channels, connectors and plugins, with no stream running.

        For checks and replays, also beside a running daemon: nothing is received,
        processed or sent.
        """
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack, exclusive=False)
            await self.host.startup()
            stack.push_async_callback(self.host.shutdown)
            yield self

    async def try_connections(self) -> list[dict[str, str]]:
        """Try each channel and connector; return a row for each, send nothing.

        Plugins that are not well have one, too.
        """
        async with self.plugins_only():
            parts: list[tuple[str, Channel[Any] | Connector[Any]]] = [
                (f"channels.{key}", channel) for key, channel in self.channels.items()
            ]
            for service, connectors in self.connectors.items():
                for number, connector in enumerate(connectors):
                    name = f"services.{service}.connectors[{number}]"
                    parts.append((name, connector))
            healths = await asyncio.gather(*(_checked(part) for _, part in parts))
            plugins = await self.host.check_health()
        tried = [(name, each) for (name, _), each in zip(parts, healths, strict=True)]
        ill = [
            (f"plugins.{name}", health)
            for name, health in plugins.items()
            if health.status is not HealthStatus.OK
        ]
        return [
            {"part": name, "status": health.status.value, "text": health.text}
            for name, health in (*tried, *ill)
        ]

    def reload(self, settings: Settings) -> tuple[list[str], list[str]]:
        """Take over what can change while running.

        Returns the sections that were reloaded, and those that need a restart.
        """
        before, after = self.settings.model_dump(), settings.model_dump()
        changed = [name for name in after if before[name] != after[name]]
        live = [name for name in changed if name in {"log", "health"}]
        restart = [name for name in changed if name not in live]
        # The rest stays what we run with: what is taken back needs no restart.
        update = {name: getattr(settings, name) for name in live}
        self.settings = self.settings.model_copy(update=update)
        return live, restart

    async def _open(
        self, stack: contextlib.AsyncExitStack, *, exclusive: bool = True
    ) -> None:
        """Open database, files and network."""
        settings = self.settings
        if self._given_store is None:
            self.store = self._open_store(exclusive=exclusive)
            stack.push_async_callback(asyncio.to_thread, self.store.close)
        else:
            self.store = self._given_store
        self.store.on_group = self.metrics.commit_group.observe
        self.store.on_events = self._show_events(asyncio.get_running_loop())
        self.crew = Crew(self.store, self._clock, pace_of(settings), self._chance)
        gate = DiskGate(data_folder(settings), settings.web.min_free_bytes, self._clock)
        self.inbox = Inbox(self.store, gate, self.crew.wakeups.wake)
        self.inbox.on_accepted = self.metrics.count_accepted
        self.inbox.on_conflict = self.metrics.count_conflict
        self.inbox.read = lambda inbound: self.channels[inbound.channel].read(inbound)
        folder = data_folder(settings) / "attachments"
        self.attachments = AttachmentStore(folder, settings.attachments.max_bytes)
        self.http = await stack.enter_async_context(shared_client())
        self.host.bind(self._contexts())
        self._make_channels(stack)
        self._make_connectors(stack)
        self.watchdog = LoopWatchdog()
        self.monitor = Monitor(self, gate)

    def _open_store(self, *, exclusive: bool) -> Store:
        settings = self.settings.store
        url = settings.resolved_url
        if exclusive:
            prepare(url)
        return open_store(
            url,
            self._clock,
            seal=audit.seal,
            threads=settings.threads,
            exclusive=exclusive,
        )

    def _show_events(
        self, loop: asyncio.AbstractEventLoop
    ) -> Callable[[list[Event]], None]:
        """Return what hands recorded events from a database thread to observers."""

        async def show(events: list[Event]) -> None:
            for event in events:
                await self.host.observe(event)

        def hand_over(events: list[Event]) -> None:
            if self.host.has_observers:
                asyncio.run_coroutine_threadsafe(show(events), loop)

        return hand_over

    def _contexts(self) -> Mapping[str, Context[Any]]:
        return {
            name: self._context(name, section)
            for name, section in self.settings.plugins.items()
        }

    def _context(self, name: str, section: Any, scope: str = "") -> Context[Any]:
        return Context(
            config=section,
            http=self.http,
            inbox=self.inbox,
            files=StoredFiles(self.store, self.channels, self.attachments),
            cases=StoredCases(self.store),
            state=StoredState(self.store, scope or name),
            clock=self._clock,
            log=structlog.get_logger().bind(plugin=name),
            language=self.settings.gateway.language,
            services=tuple(self.settings.services),
            service_names={k: each.name for k, each in self.settings.services.items()},
        )

    def _make_channels(self, stack: contextlib.AsyncExitStack) -> None:
        types = self.host.channel_types()
        for channel_id, each in self.settings.channels.items():
            owner = self.host.owner_of_channel(each.type)
            context = self._context(
                owner, self.settings.plugins[owner], f"{owner}/{channel_id}"
            )
            channel = types[each.type].factory(channel_id, each.config, context)
            self.channels[channel_id] = channel
            stack.push_async_callback(channel.close)

    def _make_connectors(self, stack: contextlib.AsyncExitStack) -> None:
        types = self.host.connector_types()
        for service_id, service in self.settings.services.items():
            made = self.connectors.setdefault(service_id, [])
            for each in service.connectors:
                owner = self.host.owner_of_connector(each.type)
                context = self._context(owner, self.settings.plugins[owner])
                connector = types[each.type].factory(service_id, each.config, context)
                made.append(connector)
                stack.push_async_callback(connector.close)

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the plugins, the workers, the receivers and, last, the web edge."""
        await asyncio.to_thread(self.attachments.sweep)
        self.watchdog.start()
        stack.callback(self.watchdog.stop)
        stack.push_async_callback(self.host.shutdown)
        await self.host.startup()
        work = self._work()
        stack.push_async_callback(self._drain, work)
        receivers = Receivers(self.crew, self.channels)
        receiving = asyncio.create_task(receivers.run(), name="receivers")
        stack.push_async_callback(_cancelled, receiving)
        await self._serve(stack)
        self.tasks = (work, receiving)

    def _work(self) -> asyncio.Task[None]:
        """Start the workers."""
        self._add_workers()
        alone = self.store.dialect == "sqlite"
        return asyncio.create_task(self.crew.run(alone=alone), name="crew")

    async def _drain(self, work: asyncio.Task[None]) -> None:
        await self.crew.drain(DRAIN_SECONDS)
        await _cancelled(work)

    def _add_workers(self) -> None:
        settings = self.settings
        self.city = city_of(settings, self.host)
        self.recorder = Recorder(self.city)
        # One object: units of work are batched by it.
        self._give_up = partial(giving_up.give_up, rungs=self.city.ladder)
        pipeline = Pipeline(
            self.crew,
            Decider(self.host, settings.gateway.default_service),
            self.recorder,
            self.metrics,
            channels=self.channels,
            connectors=self.connectors,
            successors=self._successors(),
        )
        self.crew.add(
            Worker(
                self.crew,
                inbox.PROCESS,
                claim=claim_arrived,
                handle=pipeline.handle,
                concurrency=settings.pipeline.concurrency,
                timeout=settings.outbox.lease_seconds / 2,
            )
        )
        self._add_alarms()
        for channel_id, channel in self.channels.items():
            self._add_fetcher(channel_id, channel)
            target = delivering.to_channel(
                channel_id, channel, self._packing(), self.city.ladder
            )
            self._add_courier(target)
            if channel_id in self.recorder.mirrors:
                self._add_mirror(channel_id, channel)
        for service_id, connectors in self.connectors.items():
            for number, connector in enumerate(connectors):
                self._add_service(service_id, number, connector)

    def _add_service(
        self, service_id: ServiceId, number: int, connector: Connector[Any]
    ) -> None:
        """Add the courier of one connector of a service."""
        section = self.settings.services[service_id]
        to = self._successors().get(targets.of_service(service_id, number))
        after = timedelta(minutes=section.fallback_after_minutes)
        target = delivering.to_service(
            service_id,
            section.name,
            connector,
            self._packing(),
            number=number,
            fallback=Fallback(to=to, after=after) if to else None,
        )
        self._add_courier(target)

    def _successors(self) -> Mapping[str, str]:
        """Return which target stands in for which: the next connector of a service."""
        return {
            targets.of_service(service, number): targets.of_service(service, number + 1)
            for service, connectors in self.connectors.items()
            for number in range(len(connectors) - 1)
        }

    def _packing(self) -> delivering.Packing:
        words = texts_of(self.settings)
        return delivering.Packing(
            self.attachments,
            words,
            links_of(self.settings),
            notice=partial(urging.notice, self.city),
        )

    def _add_fetcher(self, channel_id: ChannelId, channel: Channel[Any]) -> None:
        settings = self.settings
        fetcher = Fetcher(
            self.crew,
            channel.fetch,
            self.attachments,
            max_age=timedelta(hours=settings.attachments.max_age_hours),
        )
        worker = Worker(
            self.crew,
            fetch_queue(channel_id),
            claim=claim_errands,
            handle=fetcher.handle,
            concurrency=settings.outbox.concurrency,
            timeout=_FETCH_SECONDS,
        )
        self.crew.add(worker)

    def _add_courier(self, target: Target) -> None:
        settings = self.settings.outbox
        breaker = Breaker(
            self._clock,
            failures=settings.breaker_failures,
            seconds=settings.breaker_seconds,
        )
        self.breakers[target.name] = breaker
        courier = Courier(
            target,
            self.crew,
            breaker,
            self.metrics,
            give_up=self._give_up,
            max_age=timedelta(hours=settings.max_age_hours),
            timeout=settings.lease_seconds / 2,
        )
        claim = outbox.claim_parcels
        if target.limits is not None:
            claim = partial(outbox.claim_parcels, limits=target.limits)
        worker = Worker(
            self.crew,
            queue_of(target.name),
            claim=claim,
            handle=courier.handle,
            concurrency=settings.concurrency,
            # The courier's own limit is on the send; recording must still fit in.
            timeout=settings.lease_seconds + (PATIENCE_SECONDS if target.line else 0),
            gate=_gate(target, breaker, settings.concurrency),
            parked=lambda: min(courier.lines.waiting, PARKED),
        )
        self.crew.add(worker)

    def _add_alarms(self) -> None:
        alarms = Alarms(self.crew, self.metrics, self._successors())
        told = Reminders(self.crew, self.metrics, self.city.deadlines)
        watches: tuple[tuple[str, Any, Any], ...] = (
            (awaited.LATE, awaited.claim, alarms.warn),
            (awaited.MISSING, awaited.claim, alarms.give_up),
            (deadlines.NEAR, reminders.claim, told.near),
            (deadlines.PASSED, reminders.claim, told.passed),
        )
        for queue, claim, handle in watches:
            worker = Worker[Any](
                self.crew,
                queue,
                claim=claim,
                handle=handle,
                concurrency=self.settings.pipeline.concurrency,
                timeout=self.settings.outbox.lease_seconds / 2,
            )
            self.crew.add(worker)

    def _add_mirror(self, channel_id: ChannelId, channel: Channel[Any]) -> None:
        settings = self.settings.outbox
        mirror = Mirror(
            channel,
            self.crew,
            max_age=timedelta(hours=settings.max_age_hours),
            timeout=settings.lease_seconds / 2,
        )
        worker = Worker(
            self.crew,
            blocks.queue_of(channel_id),
            claim=claim_wishes,
            handle=mirror.handle,
            concurrency=1,
            timeout=settings.lease_seconds,
        )
        self.crew.add(worker)

    def _downloads(self) -> Handler | None:
        links = links_of(self.settings)
        if links is None:
            return None
        words = texts_of(self.settings)
        return Downloads(
            links, self.store, self.attachments, self._clock, words
        ).handler

    async def _serve(self, stack: contextlib.AsyncExitStack) -> None:
        settings = self.settings.web
        routes = [(i, r) for i, c in self.channels.items() for r in c.routes()]
        ops = Ops(
            readiness=self.monitor.readiness,
            refresh_metrics=self.monitor.refresh_metrics,
        )
        app = make_app(
            routes,
            ops,
            self.metrics,
            max_body_bytes=settings.max_body_bytes,
            files=self._downloads(),
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            text = f"can't listen on {settings.host}:{settings.port}: {reason.lower()}"
            raise CannotListen(f"{text} ([web] host, port)") from error
        self.port = runner.addresses[0][1]
        log.info("ready", host=settings.host, port=self.port)


def _gate(target: Target, breaker: Breaker, concurrency: int) -> Callable[[], int]:
    """Return how much a courier may take on.

    One with a fallback also takes what its target is too ill for, to pass it on.
    """
    if target.fallback is not None:
        return lambda: concurrency
    return lambda: breaker.room(concurrency)


def targets_of(settings: Settings) -> set[str]:
    """Return the names of all targets that are configured."""
    return {
        *(f"{targets.CHANNEL}:{channel}" for channel in settings.channels),
        *(
            targets.of_service(service, number)
            for service, each in settings.services.items()
            for number in range(len(each.connectors))
        ),
    }


def links_of(settings: Settings) -> Links | None:
    """Return what makes links to files, if the city wants any."""
    section = settings.links
    if section.key is None or section.base_url is None:
        return None
    timezone = ZoneInfo(settings.gateway.timezone)
    return Links(
        section.base_url, section.key.get_secret_value(), section.days, timezone
    )


async def _checked(part: Channel[Any] | Connector[Any]) -> Health:
    """Let a part check itself; whatever goes wrong means that it is down."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await part.check()
    except OSError as error:
        return Health(status=HealthStatus.DOWN, text=explain(error))
    except Exception as error:  # noqa: BLE001 (plugin code; the answer is its health)
        text = f"{type(error).__name__}: {error}"
        return Health(status=HealthStatus.DOWN, text=text)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def shared_client() -> aiohttp.ClientSession:
    """Return the shared client: no proxy from the environment, no cookies kept."""
    return aiohttp.ClientSession(
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=30, sock_connect=5),
    )


def data_folder(settings: Settings) -> Path:
    """Return the folder of database and attachments; make it if it is not there."""
    folder = Path(settings.store.data)
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    return folder


def pace_of(settings: Settings) -> Pace:
    """Return how the workers behave."""
    return Pace(
        lease=settings.outbox.lease_seconds,
        poll=settings.pipeline.poll_seconds,
        max_crashes=settings.pipeline.max_crashes,
        backoff=settings.outbox.backoff_seconds,
        backoff_cap=settings.outbox.backoff_cap_seconds,
    )


def texts_of(settings: Settings) -> Texts:
    """Return the texts in the city's language, with its own words where it has some."""
    return texts_in(settings.gateway.language, settings.gateway.templates)


def city_of(settings: Settings, host: PluginHost) -> City:
    """Return what the record needs to know of the city."""
    gateway = settings.gateway
    types = host.channel_types()
    return City(
        texts=texts_of(settings),
        services={key: each.name for key, each in settings.services.items()},
        numbering=Numbering(
            pattern=gateway.case_pattern, timezone=ZoneInfo(gateway.timezone)
        ),
        joining=Joining(
            within=timedelta(minutes=gateway.join_minutes),
            reopen=timedelta(days=gateway.reopen_days),
            sure=gateway.new_topic_confidence,
        ),
        acknowledge=gateway.acknowledge,
        ask_satisfaction=gateway.ask_satisfaction,
        wait_for_attachments=timedelta(seconds=settings.attachments.wait_seconds),
        manners={key: types[c.type].manners for key, c in settings.channels.items()},
        hours=hours_of(settings),
        deadlines=deadlines_of(settings),
        answer_ladder=gateway.answer_ladder,
    )


def failed_task(tasks: Sequence[asyncio.Task[None]]) -> BaseException | None:
    """Return what ended one of the daemon's tasks before its time, if anything."""
    for task in tasks:
        if task.done():
            ended = None if task.cancelled() else task.exception()
            return ended or RuntimeError(f"{task.get_name()} ended")
    return None
