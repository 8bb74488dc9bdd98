"""A whole gateway with this plugin, and a telephone by which citizens write."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from gateway_delivery import DeliveryPlugin
from sqlalchemy import Connection

from gateway.app import Gateway
from gateway.channel import Channel, ChannelType
from gateway.model import (
    Address,
    Enclosure,
    Inbound,
    Item,
    Location,
    Message,
    MessageId,
    Outgoing,
    Receipt,
    ReceiptStatus,
)
from gateway.payload import Payload
from gateway.plugin import NoConfig, Plugin, Section, hookimpl
from gateway.store import schema
from gateway.testing.kit import running

TOML = """
[gateway]
name = "Prova"
plugins = ["phone", "delivery"]
default_service = "strade"
[store]
url = "{url}"
data = "{data}"
[web]
port = 0
min_free_bytes = 0
[outbox]
backoff_seconds = 0.05
backoff_cap_seconds = 0.2
[pipeline]
poll_seconds = 0.05
[channels.phone]
type = "phone"
[channels.sistemi]
type = "services"
poll_seconds = 0.05
[services.strade]
name = "Strade"
connectors = [{strade}]
[services.rifiuti]
name = "Rifiuti"
connectors = [{rifiuti}]
"""


@dataclass(slots=True)
class Town:
    """The running gateway, and what its citizens have got."""

    gateway: Gateway
    notices: list[Outgoing]
    _count: int = field(default=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}/channels/sistemi/answers"

    async def say(self, text: str, sender: str = "anna", **more: Any) -> None:
        """Let a citizen write."""
        self._count += 1
        body = orjson.dumps({"from": sender, "text": text, **more})
        item = Item(external_id=f"m{self._count}", sender=sender)
        await self.gateway.inbox.accept("phone", body, [item])

    async def rows(self, table: Any) -> list[Any]:
        """Return all rows of a table."""

        def work(connection: Connection) -> list[Any]:
            return list(connection.execute(table.select()))

        return await self.gateway.store.read(work)

    async def settle(self) -> None:
        """Wait until no work is open."""
        async with asyncio.timeout(20):
            while await self.rows(schema.job):
                await asyncio.sleep(0.02)

    async def until(self, fulfilled: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(20):
            while not fulfilled():
                await asyncio.sleep(0.01)

    def told(self, sender: str = "anna") -> list[str]:
        """Return what a citizen has read of offices."""
        return [
            each.text
            for each in self.notices
            if each.to.value == sender and each.purpose != "notice"
        ]


def _plugin(notices: list[Outgoing]) -> Plugin[NoConfig]:
    class Phone(Channel[Section]):
        def parse(self, inbound: Inbound) -> Message:
            said = Payload.from_json(inbound.original.body)
            place = None
            if said.has("latitude"):
                place = Location(
                    latitude=said.number("latitude"), longitude=said.number("longitude")
                )
            return Message(
                id=MessageId(inbound.id),
                channel=self.id,
                external_id=inbound.external_id,
                sender=Address("phone", said.text("from")),
                sent_at=inbound.original.received_at,
                received_at=inbound.original.received_at,
                text=said.text("text"),
                location=place,
            )

        def carries(self, enclosure: Enclosure) -> bool:
            return True

        async def send(self, outgoing: Outgoing) -> Receipt:
            notices.append(outgoing)
            at = self.context.clock.now()
            sent = f"sent-{outgoing.delivery_id}"
            return Receipt(status=ReceiptStatus.SENT, at=at, external_id=sent)

    class Phones(Plugin[NoConfig]):
        @hookimpl
        def register_channels(self) -> list[ChannelType]:
            return [ChannelType("phone", Section, Phone)]

    return Phones()


@contextlib.asynccontextmanager
async def town(
    folder: Path,
    strade: str,
    rifiuti: str,
    url: str = "sqlite:///gateway.db",
    notices: list[Outgoing] | None = None,
) -> AsyncIterator[Town]:
    """Run the gateway of a town with two offices, each with its connectors."""
    notices = [] if notices is None else notices
    toml = TOML.format(url=url, data=folder, strade=strade, rifiuti=rifiuti)
    plugins = {"phone": _plugin(notices), "delivery": DeliveryPlugin()}
    async with running(toml, folder, plugins) as gateway:
        yield Town(gateway, notices)
