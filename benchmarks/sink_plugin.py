"""A connector for benchmarks: hands each message to a local HTTP sink."""

from __future__ import annotations

import aiohttp

from gateway.connector import Connector, ConnectorType
from gateway.errors import DeliveryError
from gateway.model import Handover, Receipt, ReceiptStatus, Semantics
from gateway.plugin import NoConfig, Plugin, Section, hookimpl


class SinkConfig(Section):
    """``{ type = "sink", url = … }``."""

    url: str


class SinkConnector(Connector[SinkConfig]):
    """Posts the text and the case number under the message's foreign id."""

    semantics = Semantics.KEYED

    async def deliver(self, handover: Handover) -> Receipt:
        """Post one message."""
        message = handover.message
        url = f"{self.config.url}/{message.external_id}"
        body = {"text": message.text, "case": handover.case.number}
        headers = {"Idempotency-Key": handover.delivery_id}
        try:
            async with self.context.http.post(url, json=body, headers=headers) as sent:
                sent.raise_for_status()
        except aiohttp.ClientError as error:
            code = type(error).__name__
            raise DeliveryError(code, str(error), retryable=True) from error
        return Receipt(status=ReceiptStatus.SENT, at=self.context.clock.now())


class SinkPlugin(Plugin[NoConfig]):
    """Registers the connector."""

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer the connector type ``sink``."""
        return [ConnectorType("sink", SinkConfig, SinkConnector)]
