"""A whole gateway in process, with a channel and an office that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from gateway.app import Gateway, Parts
from gateway.channel import Channel, ChannelType, Line, Rate
from gateway.connector import Connector, ConnectorType
from gateway.errors import DeliveryError
from gateway.model import (
    Address,
    AddressChange,
    Amendment,
    Attachment,
    DeliveryId,
    Enclosure,
    Expectation,
    Handover,
    Inbound,
    Item,
    ItemKind,
    Manners,
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
from gateway.store import schema
from gateway.testing.kit import running

TOML = """
[gateway]
name = "Prova"
plugins = ["city"]
default_service = "urp"
{gateway}
[store]
url = "{url}"
data = "{data}"
[web]
port = 0
min_free_bytes = 0
[outbox]
backoff_seconds = {backoff[0]}
backoff_cap_seconds = {backoff[1]}
{outbox}
[pipeline]
poll_seconds = 0.05
moderate_timeout = 0.3
route_timeout = 0.3
enrich_timeout = 0.3
[attachments]
wait_seconds = {wait}
[channels.phone]
type = "phone"
[channels.mail]
type = "phone"
[channels.album]
type = "album"
[channels.letter]
type = "letter"
[channels.chat]
type = "chat"
[services.urp]
name = "URP"
{urp}
[services.strade]
name = "Strade"
connectors = [{{ type = "office" }}]
"""


@dataclass(slots=True)
class Outside:
    """What citizens and offices got, and how they behave."""

    notices: list[Outgoing] = field(default_factory=list)
    handovers: list[Handover] = field(default_factory=list)
    spares: list[Handover] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    office_faults: list[Exception] = field(default_factory=list)
    spare_faults: list[Exception] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    known: list[Receipt | Exception | None] = field(default_factory=list)
    files: dict[str, list[bytes | Exception]] = field(default_factory=dict)
    grace: float = 0.0
    rates: list[Rate] = field(default_factory=list)
    slow: asyncio.Event | None = None
    blocked: list[tuple[str, str, bool]] = field(default_factory=list)
    block_answers: list[str | Exception] = field(default_factory=list)
    expects: Expectation | None = None
    office_expects: Expectation | None = None


def in_hundreds(text: str) -> list[str]:
    """Cut a long text into messages of a hundred characters."""
    return [text[n : n + 100] for n in range(0, len(text), 100)]


def _expected(said: Payload) -> Expectation | None:
    """Return what a receipt says must follow: within how many ms, for how many."""
    if not said.has("within"):
        return None
    return Expectation(
        within=timedelta(milliseconds=said.integer("within")),
        recipients=said.integer("recipients"),
    )


def city_plugin(outside: Outside) -> Plugin[NoConfig]:
    """Return the plugin with the channel ``phone`` and the connector ``office``."""

    class Phone(Channel[Section]):
        grace_seconds = outside.grace

        def parse(self, inbound: Inbound) -> Message | Receipt | AddressChange:
            said = Payload.from_json(inbound.original.body)
            if said.has("moved_to"):
                return AddressChange(
                    id=inbound.id,
                    channel=self.id,
                    old=(Address("phone", said.text("from")),),
                    new=(Address("phone", said.text("moved_to")),),
                )
            if inbound.kind is ItemKind.RECEIPT:
                return Receipt(
                    status=ReceiptStatus(said.text("status")),
                    at=inbound.original.received_at
                    - timedelta(days=said.flag("earlier")),
                    external_id=said.text("of"),
                    delivery_id=DeliveryId(said.text_or("ours")) or None,
                    code=said.text_or("code"),
                    retryable=said.flag("retryable"),
                    recipient=said.text_or("recipient"),
                    reference=said.text_or("reference"),
                    expects=_expected(said),
                )
            return Message(
                id=MessageId(inbound.id),
                channel=self.id,
                external_id=inbound.external_id,
                sender=Address(said.text_or("scheme", "phone"), said.text("from")),
                aliases=tuple(
                    Address("phone", a.as_text()) for a in said.items_or_none("aliases")
                ),
                stable=said.flag("stable"),
                sent_at=inbound.original.received_at,
                received_at=inbound.original.received_at,
                text=said.text_or("text"),
                choice=said.text_or("choice"),
                amends=said.text_or("amends"),
                amendment=(
                    Amendment(said.text("amendment")) if said.has("amends") else None
                ),
                references=tuple(r.as_text() for r in said.items_or_none("references")),
                subject=said.text_or("subject"),
                authentic=said.flag("authentic") if said.has("authentic") else None,
                automatic=said.flag("automatic"),
                attachments=tuple(
                    Attachment(media_type="text/plain", locator=f.as_text(), name="f")
                    for f in said.items_or_none("files")
                ),
            )

        def line(self, to: Address) -> Line | None:
            return Line(name="slow", width=2) if to.value.startswith("slow") else None

        async def send(self, outgoing: Outgoing) -> Receipt:
            if outgoing.to.value in outside.refused:
                raise DeliveryError("refused", "no", retryable=False)
            if outside.faults:
                raise outside.faults.pop(0)
            if outside.slow is not None and outgoing.to.value.startswith("slow"):
                await outside.slow.wait()
            outside.notices.append(outgoing)
            external_id = f"sent-{outgoing.delivery_id}"
            return Receipt(
                status=ReceiptStatus.SENT,
                at=self.context.clock.now(),
                external_id=external_id,
                expects=outside.expects,
            )

        async def fetch(
            self, original: Original, attachment: Attachment
        ) -> AsyncIterator[bytes]:
            answer = outside.files[attachment.locator].pop(0)
            if isinstance(answer, Exception):
                raise answer
            yield answer

        async def set_blocked(self, address: Address, *, blocked: bool) -> str | None:
            answer = outside.block_answers.pop(0) if outside.block_answers else None
            if isinstance(answer, Exception):
                raise answer
            outside.blocked.append((self.id, address.value, blocked))
            return answer

        def rates(self) -> list[Rate]:
            return outside.rates

    class Album(Phone):
        def carries(self, enclosure: Enclosure) -> bool:
            return enclosure.name != "too large"

    class Chat(Phone):
        """Takes nothing but templates from those who wrote long ago."""

        async def send(self, outgoing: Outgoing) -> Receipt:
            if "late" not in outgoing.to.value or outgoing.purpose == "notice":
                return await super().send(outgoing)
            if not outgoing.may_template:
                raise DeliveryError("window_closed", "no", retryable=False)
            return replace(await super().send(outgoing), by_template=True)

    class Office(Connector[Section]):
        semantics = Semantics.KEYED

        async def deliver(self, handover: Handover) -> Receipt:
            if outside.office_faults:
                raise outside.office_faults.pop(0)
            outside.handovers.append(handover)
            return Receipt(
                status=ReceiptStatus.SENT,
                at=self.context.clock.now(),
                external_id=f"<{handover.delivery_id}@office>",
                expects=outside.office_expects,
            )

        def may_answer(self, sender: Address) -> bool:
            return sender.value == f"{self.service}@office"

    class Blind(Office):
        semantics = Semantics.BLIND
        grace_seconds = 0.0

    class Keyed(Office):
        grace_seconds = 0.0

    class Asked(Keyed):
        semantics = Semantics.QUERYABLE

        async def resolve(self, handover: Handover) -> Receipt | None:
            known = outside.known.pop(0)
            if isinstance(known, Exception):
                raise known
            return known

    class Spare(Connector[Section]):
        semantics = Semantics.KEYED

        async def deliver(self, handover: Handover) -> Receipt:
            if outside.spare_faults:
                raise outside.spare_faults.pop(0)
            outside.spares.append(handover)
            return Receipt(
                status=ReceiptStatus.SENT,
                at=self.context.clock.now(),
                external_id=f"<{handover.delivery_id}@spare>",
            )

        def may_answer(self, sender: Address) -> bool:
            return sender.value == f"{self.service}@spare"

    class City(Plugin[NoConfig]):
        @hookimpl
        def register_channels(self) -> list[ChannelType]:
            return [
                ChannelType(
                    "phone",
                    Section,
                    Phone,
                    Manners(split=in_hundreds, mirrors_blocks=True),
                ),
                ChannelType("letter", Section, Phone, Manners(daily_notice=True)),
                ChannelType("chat", Section, Chat, Manners(window=timedelta(days=1))),
                ChannelType(
                    "album",
                    Section,
                    Album,
                    Manners(files_apart=True, locations=True, menus=True),
                ),
            ]

        @hookimpl
        def register_connectors(self) -> list[ConnectorType]:
            return [
                ConnectorType("office", Section, Office),
                ConnectorType("blind", Section, Blind),
                ConnectorType("keyed", Section, Keyed),
                ConnectorType("asked", Section, Asked),
                ConnectorType("spare", Section, Spare),
            ]

    return City()


@dataclass(slots=True)
class City:
    """A running gateway, and the outside it talks with."""

    gateway: Gateway
    outside: Outside
    _count: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    async def say(
        self, channel: str = "phone", sender: str = "anna", **said: Any
    ) -> str:
        """Let somebody say something; return its id."""
        self._count += 1
        external_id = f"m{self._count}"
        body = orjson.dumps({"from": sender, **said})
        item = Item(external_id=external_id, sender=sender)
        await self.gateway.inbox.accept(channel, body, [item])
        return external_id

    async def report(self, status: str, of: str, **more: Any) -> None:
        """Let the provider say what became of a message of ours."""
        self._count += 1
        body = orjson.dumps({"status": status, "of": of, **more})
        item = Item(
            external_id=f"r{self._count}", sender=f"r{of}", kind=ItemKind.RECEIPT
        )
        await self.gateway.inbox.accept("phone", body, [item])

    async def rows(self, table: Any) -> list[Any]:
        """Return all rows of a table."""

        def work(connection: Connection) -> list[Any]:
            return list(connection.execute(table.select()))

        return await self.gateway.store.read(work)

    async def settle(self, *, waiting: int = 0) -> None:
        """Wait until no work is open but ``waiting`` jobs that wait for their time."""
        async with asyncio.timeout(15):
            while True:
                jobs = await self.rows(schema.job)
                if [j.state for j in jobs] == ["waiting"] * waiting:
                    return
                await asyncio.sleep(0.02)

    async def until(self, fulfilled: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(15):
            while not fulfilled():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def small_city(
    folder: Path,
    *plugins: Plugin[Any],
    url: str = "sqlite:///gateway.db",
    wait: float = 30,
    outside: Outside | None = None,
    gateway: str = "",
    outbox: str = "",
    backoff: tuple[float, float] = (0.05, 0.2),
    sections: str = "",
    urp: str = 'connectors = [{ type = "office" }]',
    parts: Parts | None = None,
) -> AsyncIterator[City]:
    """Run a gateway with the city's plugin and ``plugins`` beside it."""
    outside = outside or Outside()
    toml = TOML.format(
        data=folder,
        wait=wait,
        url=url,
        gateway=gateway,
        outbox=outbox,
        backoff=backoff,
        urp=urp,
    )
    toml += sections
    named = {"city": city_plugin(outside)}
    named |= {f"plugin{n}": plugin for n, plugin in enumerate(plugins)}
    async with running(toml, folder, named, parts) as started:
        yield City(started, outside)


UNREACHABLE = DeliveryError("busy", "no", retryable=True)
