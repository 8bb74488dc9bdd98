"""A channel and a connector of the plainest kind, for crash tests and benchmarks.

The channel takes signed JSON (``{"id", "from", "text"}``) and answers to a sink; the
connector hands over to the same sink. Both give the sink an idempotency key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable

import aiohttp
from aiohttp import web

from gateway.channel import Channel, ChannelType, RouteDef
from gateway.connector import Connector, ConnectorType
from gateway.errors import DeliveryError
from gateway.model import (
    Address,
    Attachment,
    Handover,
    Inbound,
    Item,
    Message,
    MessageId,
    Original,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Semantics,
)
from gateway.payload import Payload
from gateway.plugin import Context, NoConfig, Plugin, Section, hookimpl


class ProbeConfig(Section):
    """``[channels.<id>] type = "probe"``."""

    secret: str
    sink: str


class SinkConfig(Section):
    """``{ type = "sink", url = … }``."""

    url: str


async def post(
    context: Context[NoConfig], url: str, key: str, body: dict[str, object]
) -> Receipt:
    """Hand ``body`` to the sink under an idempotency key."""
    headers = {"Idempotency-Key": key}
    try:
        async with context.http.post(url, json=body, headers=headers) as response:
            if response.status >= 300:
                raise DeliveryError(str(response.status), "refused", retryable=True)
    except aiohttp.ClientConnectorError as error:
        raise DeliveryError("refused", str(error), retryable=True) from error
    except aiohttp.ClientError as error:
        raise DeliveryError("lost", str(error), retryable=True, unknown=True) from error
    at = context.clock.now()
    return Receipt(status=ReceiptStatus.SENT, at=at, external_id=f"sink:{key}")


class ProbeChannel(Channel[ProbeConfig]):
    """Signed JSON in, JSON out."""

    semantics = Semantics.KEYED

    def routes(self) -> Iterable[RouteDef]:
        """Serve one webhook."""
        return [RouteDef(method="POST", path="webhook", handler=self.webhook)]

    async def webhook(self, request: web.Request) -> web.Response:
        """Store one message, then say so."""
        body = await request.read()
        secret = self.config.secret.encode()
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        found = request.headers.get("X-Hub-Signature-256", "")
        if not hmac.compare_digest(found, expected):
            raise web.HTTPUnauthorized
        payload = Payload.from_json(body)
        item = Item(external_id=payload.text("id"), sender=payload.text("from"))
        await self.context.inbox.accept(self.id, body, [item])
        return web.Response(text="accepted")

    def parse(self, inbound: Inbound) -> Message:
        """Read a stored message."""
        payload = Payload.from_json(inbound.original.body)
        return Message(
            id=MessageId(inbound.id),
            channel=self.id,
            external_id=inbound.external_id,
            sender=Address("probe", payload.text("from")),
            sent_at=inbound.original.received_at,
            received_at=inbound.original.received_at,
            text=payload.text("text"),
            attachments=tuple(
                Attachment(media_type="text/plain", locator="file", name="file.txt")
                for _ in range(payload.has("file"))
            ),
        )

    async def fetch(
        self, original: Original, attachment: Attachment
    ) -> AsyncIterator[bytes]:
        """Return the text that came with the message as a file."""
        yield Payload.from_json(original.body).text(attachment.locator).encode()

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand the notice to the sink."""
        body: dict[str, object] = {"to": str(outgoing.to), "quote": outgoing.quote}
        return await post(self.context, self.config.sink, outgoing.delivery_id, body)


class SinkConnector(Connector[SinkConfig]):
    """Hands messages to an HTTP sink."""

    semantics = Semantics.KEYED

    async def deliver(self, handover: Handover) -> Receipt:
        """Post the message's foreign id and the case number."""
        body: dict[str, object] = {
            "id": handover.message.external_id,
            "case": handover.case.number,
            "files": [enclosure.sha256 for enclosure in handover.enclosures],
        }
        return await post(self.context, self.config.url, handover.delivery_id, body)


class ClosedConnector(Connector[Section]):
    """Takes nothing: all goes to the service's next connector."""

    async def deliver(self, handover: Handover) -> Receipt:
        """Refuse."""
        raise DeliveryError("closed", handover.service_name, retryable=False)


class ProbePlugin(Plugin[NoConfig]):
    """Registers both."""

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        """Offer the channel type ``probe``."""
        return [ChannelType("probe", ProbeConfig, ProbeChannel)]

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer the connector types ``sink`` and ``closed``."""
        return [
            ConnectorType("sink", SinkConfig, SinkConnector),
            ConnectorType("closed", Section, ClosedConnector),
        ]
