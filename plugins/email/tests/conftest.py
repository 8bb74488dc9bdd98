"""Doubles of what the gateway hands to a plugin, and mail servers to talk to."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from gateway_email import EmailChannel, EmailChannelConfig, EmailSettings
from gateway_email.devserver import MailServer

from gateway.clock import SystemClock
from gateway.errors import StoreUnavailable
from gateway.model import (
    Address,
    Case,
    CaseId,
    CaseStatus,
    ChannelId,
    DeliveryId,
    Handover,
    Inbound,
    InboxId,
    Item,
    ItemKind,
    Message,
    MessageId,
    Original,
    ServiceId,
)
from gateway.plugin import Context
from gateway.testing.kit import MemoryCases, MemoryFiles

sys.path.append(str(Path(__file__).parent))  # for `smtp_servers`

DELIVERY = DeliveryId("0198f2a4-7c1e-7b3a-9d55-0123456789ab")
MOMENT = datetime(2026, 3, 29, 20, 4, 5, tzinfo=UTC)
PASSWORD = "segreta"


@dataclass
class FakeInbox:
    """An intake that dedupes by (channel, external id) and can be made to fail."""

    originals: dict[str, bytes] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    calls: int = 0
    failures: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(
        self,
        channel: ChannelId,
        body: bytes,
        items: Sequence[Item],
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Keep what is new."""
        del headers
        self.calls += 1
        if self.failures:
            self.failures -= 1
            message = "no database"
            raise StoreUnavailable(message)
        new = [item for item in items if item.external_id not in self.originals]
        for item in new:
            self.originals[item.external_id] = body
            self.items.append(item)
        assert channel
        self.news.set()
        return len(new)

    async def accept_each(
        self, channel: ChannelId, originals: Sequence[tuple[bytes, Item]]
    ) -> int:
        """Keep what is new of many."""
        return sum(
            [await self.accept(channel, body, [item]) for body, item in originals]
        )

    async def wait_for(self, count: int) -> None:
        """Wait until that many originals are stored."""
        async with asyncio.timeout(20):
            while len(self.originals) < count:
                self.news.clear()
                await self.news.wait()


@dataclass
class FakeState:
    """A key-value space that takes only JSON and can be made to fail."""

    values: dict[str, str] = field(default_factory=dict)
    failures: int = 0

    async def get(self, key: str) -> Any | None:
        """Return the value."""
        text = self.values.get(key)
        return None if text is None else json.loads(text)

    async def put(self, key: str, value: Any) -> None:
        """Keep the value."""
        if self.failures:
            self.failures -= 1
            message = "no database"
            raise StoreUnavailable(message)
        self.values[key] = json.dumps(value)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those ``keys`` that are kept."""
        return {key: json.loads(self.values[key]) for key in keys if key in self.values}

    async def put_many(self, values: Mapping[str, Any]) -> None:
        """Keep the values."""
        self.values |= {key: json.dumps(value) for key, value in values.items()}

    @property
    def cursors(self) -> list[Any]:
        """Return how far each folder has been read."""
        return [json.loads(v) for k, v in self.values.items() if k.startswith("imap:")]


async def _until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds, 20 seconds at most."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait for what gives no event of its own."""
    return _until


@pytest.fixture
def inbox() -> FakeInbox:
    """An empty inbox."""
    return FakeInbox()


@pytest.fixture
def state() -> FakeState:
    """An empty key-value space."""
    return FakeState()


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """The mail server that comes with the plugin."""
    names = ("urp@comune.test", "strade@comune.test", "rifiuti@comune.test")
    async with MailServer(dict.fromkeys(names, PASSWORD)) as running:
        yield running


@pytest.fixture
def settings() -> Callable[..., EmailSettings]:
    """Make the plugin's section."""

    def make(**changes: Any) -> EmailSettings:
        values = {
            "host": "127.0.0.1",
            "port": 1,
            "security": "none",
            "timeout": 5.0,
            "data_timeout": 5.0,
            "sender": "urp@comune.test",
            "sender_name": "URP Comune di Prova",
            "reply_to": "urp@comune.test",
            "domain": "comune.test",
            "key": "0123456789abcdef",
        }
        return EmailSettings.model_validate({**values, **changes})

    return make


@pytest.fixture
async def context(
    inbox: FakeInbox, state: FakeState, settings: Callable[..., EmailSettings]
) -> AsyncIterator[Callable[..., Context[EmailSettings]]]:
    """Make a context around the doubles."""
    async with aiohttp.ClientSession() as http:

        def make(**changes: Any) -> Context[EmailSettings]:
            return Context(
                config=settings(**changes),
                http=http,
                inbox=inbox,
                files=MemoryFiles(),
                cases=MemoryCases(),
                state=state,
                clock=SystemClock(),
                log=structlog.get_logger(),
            )

        yield make


@pytest.fixture
def channel(
    context: Callable[..., Context[EmailSettings]],
) -> Callable[..., EmailChannel]:
    """Make a channel on a mailbox of urp@comune.test."""

    def make(*, smtp_port: int = 1, **changes: Any) -> EmailChannel:
        values = {
            "host": "127.0.0.1",
            "security": "none",
            "username": "urp@comune.test",
            "password": PASSWORD,
            "timeout": 5.0,
            "idle_seconds": 60.0,
        }
        config = EmailChannelConfig.model_validate({**values, **changes})
        return EmailChannel(ChannelId("posta"), config, context(port=smtp_port))

    return make


@pytest.fixture
def message() -> Callable[..., Message]:
    """Make a citizen's message."""

    def make(**changes: Any) -> Message:
        values: dict[str, Any] = {
            "id": MessageId("0198f2a4-0000-7000-8000-000000000001"),
            "channel": ChannelId("whatsapp"),
            "external_id": "wamid.1",
            "sender": Address("whatsapp", "393290000000"),
            "sender_name": "Maria Deiana",
            "sent_at": MOMENT,
            "received_at": MOMENT,
            "text": "C'è una buca in via Roma, davanti al civico 12: è pericolosa.",
        }
        return Message(**{**values, **changes})

    return make


@pytest.fixture
def handover(message: Callable[..., Message]) -> Callable[..., Handover]:
    """Make a delivery to the office for roads."""

    def make(**changes: Any) -> Handover:
        case = Case(
            id=CaseId("0198f2a4-0000-7000-8000-000000000002"),
            number="URP-2026-000123",
            service=ServiceId("strade"),
            status=CaseStatus.ASSIGNED,
            opened_at=MOMENT,
        )
        values: dict[str, Any] = {
            "delivery_id": DELIVERY,
            "attempt": 1,
            "created_at": MOMENT,
            "service": ServiceId("strade"),
            "service_name": "Ufficio Strade",
            "case": case,
            "message": message(),
        }
        return Handover(**{**values, **changes})

    return make


@pytest.fixture
def inbound() -> Callable[[bytes], Inbound]:
    """Wrap a raw mail as the gateway hands it back to be read."""

    def make(raw: bytes) -> Inbound:
        original = Original(
            id="0198f2a4-0000-7000-8000-000000000003",
            channel=ChannelId("posta"),
            body=raw,
            headers={},
            received_at=MOMENT,
        )
        return Inbound(
            id=InboxId("0198f2a4-0000-7000-8000-000000000004"),
            channel=ChannelId("posta"),
            external_id="INBOX:1:1",
            kind=ItemKind.MESSAGE,
            part="",
            sender="",
            original=original,
        )

    return make


@pytest.fixture
def fixture_bytes() -> Callable[[str], bytes]:
    """Read a file of ``fixtures/``."""
    folder = Path(__file__).parent / "fixtures"
    return lambda name: (folder / name).read_bytes()
