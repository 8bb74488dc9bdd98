"""A whole gateway between a simulated Meta and offices of the tests' own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from gateway_routing import RoutingPlugin
from gateway_whatsapp import WhatsAppPlugin
from gateway_whatsapp.simulator import CloudApiSimulator

from gateway.channel import Channel, ChannelType
from gateway.connector import Connector, ConnectorType
from gateway.errors import DeliveryError
from gateway.model import (
    Address,
    Attachment,
    Handover,
    Inbound,
    Item,
    Location,
    Message,
    MessageId,
    Original,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Semantics,
)
from gateway.payload import Payload
from gateway.plugin import NoConfig, Plugin, Section, hookimpl
from gateway.testing.kit import running


@dataclass(eq=False)
class Offices(Plugin[NoConfig]):
    """The connector ``office``, and the channel ``desk``."""

    got: list[Handover] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        return [ConnectorType("office", Section, self._office)]

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        return [ChannelType("desk", Section, self._desk)]

    def _office(self, *about: Any) -> Connector[Any]:
        return _Office(*about, offices=self)

    def _desk(self, *about: Any) -> Channel[Any]:
        return _Desk(*about, offices=self)


class _Office(Connector[Section]):
    semantics = Semantics.KEYED

    def __init__(self, *about: Any, offices: Offices) -> None:
        super().__init__(*about)
        self._offices = offices

    async def deliver(self, handover: Handover) -> Receipt:
        self._offices.got.append(handover)
        return Receipt(
            status=ReceiptStatus.SENT,
            at=self.context.clock.now(),
            external_id=f"<{handover.delivery_id}>",
        )

    def may_answer(self, sender: Address) -> bool:
        return sender.value == self.service


class _Desk(Channel[Section]):
    def __init__(self, *about: Any, offices: Offices) -> None:
        super().__init__(*about)
        self._offices = offices

    def parse(self, inbound: Inbound) -> Message:
        said = Payload.from_json(inbound.original.body)
        place = said.value.get("location")
        return Message(
            id=MessageId(inbound.id),
            channel=self.id,
            external_id=inbound.external_id,
            sender=Address("desk", said.text("service")),
            sent_at=inbound.original.received_at,
            received_at=inbound.original.received_at,
            text=said.text("text"),
            references=(f"<{said.text('of')}>",),
            location=Location(**place) if place else None,
            attachments=tuple(
                Attachment(media_type="image/jpeg", locator=f.as_text(), name="foto")
                for f in said.items_or_none("files")
            ),
        )

    async def send(self, outgoing: Outgoing) -> Receipt:
        raise DeliveryError("no", outgoing.delivery_id, retryable=False)

    async def fetch(
        self, original: Original, attachment: Attachment
    ) -> AsyncIterator[bytes]:
        del original
        yield self._offices.files[attachment.locator]


async def answer(gateway: Any, handover: Handover, text: str, **more: Any) -> None:
    """Let the office that got ``handover`` answer it."""
    body = orjson.dumps(
        {
            "of": handover.delivery_id,
            "service": handover.service,
            "text": text,
            **more,
        }
    )
    item = Item(external_id=f"answer {text}", sender=handover.service)
    await gateway.inbox.accept("desk", body, [item])


QUESTION = """
[plugins.routing.question]
otherwise = "urp"
topics = [
  { service = "strade", title = "Strade e buche", description = "Lampioni" },
  { service = "urp", title = "Altro" },
]
"""
TOML = """
[gateway]
name = "Prova"
plugins = ["whatsapp", "routing", "offices"]
default_service = "urp"
[store]
data = "{folder}"
[web]
port = 0
min_free_bytes = 0
[outbox]
backoff_seconds = 0.05
backoff_cap_seconds = 0.2
[pipeline]
poll_seconds = 0.05
{question}
[channels.whatsapp]
type = "whatsapp"
phone_number_id = "1122334455667"
token = {{ env = "TOKEN" }}
app_secrets = [{{ env = "SECRET" }}]
verify_token = {{ env = "SECRET" }}
base_url = "{base_url}"
{channel}
media_hosts = ["127.0.0.1"]
[channels.desk]
type = "desk"
[services.urp]
name = "URP"
connectors = [{{ type = "office" }}]
[services.strade]
name = "Strade"
connectors = [{{ type = "office" }}]
"""


@dataclass
class Town:
    """A gateway between a simulated Meta and its offices."""

    gateway: Any
    meta: CloudApiSimulator
    offices: Offices

    async def say(self, payload: dict[str, Any]) -> None:
        """Let Meta tell what a citizen did."""
        assert 200 == (await self.meta.webhook(payload))[0]

    async def until(self, fulfilled: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(30):
            while not fulfilled():
                await asyncio.sleep(0.01)

    async def handed(self, count: int = 1) -> Handover:
        """Wait for the hand-over with that number."""
        await self.until(lambda: len(self.offices.got) >= count)
        return self.offices.got[count - 1]


@contextlib.asynccontextmanager
async def town_of(
    meta: CloudApiSimulator, folder: Path, **settings: str
) -> AsyncIterator[Town]:
    """Run a gateway; ``settings`` are more keys, of the ``channel`` or ``gateway``."""
    more = {"channel": "", "question": QUESTION, **settings}
    toml = TOML.format(folder=folder, base_url=meta.base_url, **more)
    offices = Offices()
    plugins = {
        "whatsapp": WhatsAppPlugin(),
        "routing": RoutingPlugin(),
        "offices": offices,
    }
    async with running(toml, folder, plugins) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/channels/whatsapp/webhook"
        meta.webhook_url = url
        yield Town(gateway, meta, offices)
