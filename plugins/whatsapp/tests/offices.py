"""Offices for the tests: what they get, and a desk from which they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson

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
