"""The channel on a real web app and a real inbox, and a simulated Cloud API."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp.test_utils import TestServer
from gateway_whatsapp import WhatsAppChannel, WhatsAppConfig
from gateway_whatsapp.parse import parse
from gateway_whatsapp.simulator import CloudApiSimulator

from gateway import audit
from gateway.clock import SystemClock
from gateway.errors import StoreError
from gateway.inbox import DiskGate, Inbox
from gateway.metrics import Metrics
from gateway.model import (
    Address,
    ChannelId,
    DeliveryId,
    HealthStatus,
    Inbound,
    InboxId,
    Item,
    Original,
    Outgoing,
)
from gateway.plugin import Context
from gateway.store import Store, open_store
from gateway.store.migrate import upgrade
from gateway.testing.kit import MemoryCases, MemoryFiles
from gateway.web import Ops, Readiness, make_app

sys.path.append(str(Path(__file__).parent))

FIXTURES = Path(__file__).parent / "fixtures"
CHANNEL = ChannelId("whatsapp")
NUMBER = "1122334455667"
SECRET = "testappsecret"
DELIVERY = DeliveryId("0198f2a4-7c1e-7b3a-9d55-0123456789ab")
MOMENT = datetime(2026, 11, 8, 20, 4, 5, tzinfo=UTC)


@dataclass
class RecordingInbox:
    """An intake that remembers what it was given, or refuses it."""

    calls: list[tuple[bytes, list[Item], dict[str, str]]] = field(default_factory=list)
    failure: StoreError | None = None
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def accept(self, channel, body, items, headers=None) -> int:
        """Remember, or raise ``failure``."""
        if self.failure is not None:
            raise self.failure
        self.calls.append((body, list(items), dict(headers or {})))
        async with self.news:
            self.news.notify_all()
        return len(items)

    async def wait_for(self, count: int) -> None:
        """Wait until ``count`` webhooks were accepted, 10 seconds at most."""
        async with asyncio.timeout(10), self.news:
            await self.news.wait_for(lambda: len(self.calls) >= count)


@pytest.fixture
def fixture() -> Callable[[str], Any]:
    """Read a JSON file of ``fixtures/``."""
    return lambda name: json.loads((FIXTURES / name).read_bytes())


@pytest.fixture
def inbox() -> RecordingInbox:
    """An intake that remembers."""
    return RecordingInbox()


@pytest.fixture
def config() -> Callable[..., WhatsAppConfig]:
    """Make the channel's section."""

    def make(**changes: Any) -> WhatsAppConfig:
        values = {
            "phone_number_id": NUMBER,
            "token": "the-token",
            "app_secrets": [SECRET],
            "verify_token": "parola d'ordine",
            "media_hosts": ["127.0.0.1"],
            "timeout": 5.0,
        }
        return WhatsAppConfig.model_validate({**values, **changes})

    return make


@pytest.fixture
async def channel(
    config: Callable[..., WhatsAppConfig], inbox: RecordingInbox
) -> AsyncIterator[Callable[..., WhatsAppChannel]]:
    """Make a channel; ``into`` is its intake."""
    async with aiohttp.ClientSession() as http:

        def make(into: Any = inbox, **changes: Any) -> WhatsAppChannel:
            context = Context(
                config=None,
                http=http,
                inbox=into,
                files=MemoryFiles(),
                cases=MemoryCases(),
                state=None,
                clock=SystemClock(),
                log=structlog.get_logger(),
            )
            return WhatsAppChannel(CHANNEL, config(**changes), context)

        yield make


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """Serve channels by the gateway's own web app; return the webhook's address."""
    servers: list[TestServer] = []

    async def start(
        channel: WhatsAppChannel,
        max_body_bytes: int = 3_000_000,
        siblings: Sequence[WhatsAppChannel] = (),
    ) -> str:
        routes = [(c.id, route) for c in (channel, *siblings) for route in c.routes()]
        app = make_app(routes, _ops(), Metrics(), max_body_bytes=max_body_bytes)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url(f"/channels/{channel.id}/webhook"))

    yield start
    for server in servers:
        await server.close()


def _ops() -> Ops:
    async def readiness() -> Readiness:
        return Readiness(ready=True, status=HealthStatus.OK)

    async def refresh() -> None:
        return None

    return Ops(readiness=readiness, refresh_metrics=refresh)


@pytest.fixture
async def sim() -> AsyncIterator[CloudApiSimulator]:
    """A simulated Cloud API that knows no webhook yet."""
    async with CloudApiSimulator(
        app_secret=SECRET, token="the-token", phone_number_id=NUMBER
    ) as running:
        yield running


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets that the simulator knows, where a configuration finds them."""
    monkeypatch.setenv("TOKEN", "the-token")
    monkeypatch.setenv("SECRET", SECRET)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A real store on SQLite."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)
    opened = open_store(url, SystemClock(), seal=audit.seal)
    yield opened
    opened.close()


@pytest.fixture
def real_inbox(store: Store, tmp_path: Path) -> Inbox:
    """The gateway's inbox on that store, with our way to read."""
    inbox = Inbox(store, DiskGate(tmp_path, 0, SystemClock()), lambda queue: None)

    async def read(inbound: Inbound) -> object:
        return parse(inbound)

    inbox.read = read
    return inbox


@pytest.fixture
async def real(
    channel: Callable[..., WhatsAppChannel],
    serve: Callable[..., Any],
    real_inbox: Inbox,
) -> str:
    """The webhook's address of a gateway that really stores."""
    return str(await serve(channel(real_inbox)))


@pytest.fixture
def inbound() -> Callable[..., Inbound]:
    """Wrap an item as the gateway hands it back to be read."""

    def make(body: bytes, item: Item, received_at: datetime = MOMENT) -> Inbound:
        original = Original(
            id="0198f2a4-0000-7000-8000-000000000003",
            channel=CHANNEL,
            body=body,
            headers={},
            received_at=received_at,
        )
        return Inbound(
            id=InboxId("0198f2a4-0000-7000-8000-000000000004"),
            channel=CHANNEL,
            external_id=item.external_id,
            kind=item.kind,
            part=item.part,
            sender=item.sender,
            original=original,
        )

    return make


@pytest.fixture
def outgoing() -> Callable[..., Outgoing]:
    """Make an answer to a citizen."""

    def make(**changes: Any) -> Outgoing:
        values: dict[str, Any] = {
            "delivery_id": DELIVERY,
            "attempt": 1,
            "created_at": MOMENT,
            "to": Address("whatsapp", "393290000000"),
            "text": "Grazie, la sua segnalazione è la URP-2026-000123.",
            "quote": "wamid.abc",
        }
        return Outgoing(**{**values, **changes})

    return make


Mutator = Callable[[random.Random, Any], Any]


@pytest.fixture(scope="session")
def mutate() -> Mutator:
    """Change some places of a JSON document: other types, no types, twice, gone."""
    return _mutate


_JUNK: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    1.5,
    -1e308,
    "",
    " ",
    "\x00",
    "asdf",
    "99999999999999999999999999",
    "è" * 300,
    "../../etc/passwd",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    {"id": {"id": []}},
)


def _mutate(chance: random.Random, document: Any) -> Any:
    document = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places = list(_places(document))
        if not places:
            return chance.choice(_JUNK)
        holder, key = chance.choice(places)
        _change(chance, holder, key)
    return document


def _change(chance: random.Random, holder: Any, key: Any) -> None:
    how = chance.randrange(4)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif how == 2:
        holder[key] = [holder[key]]
    else:
        holder[key] = copy.deepcopy(chance.choice(_JUNK))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        keys: Any = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])
