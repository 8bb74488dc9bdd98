"""The connector ``webhook``: each hand-over is a signed POST of a CloudEvent."""

from __future__ import annotations

import ssl
from functools import cached_property
from http import HTTPStatus
from typing import Final

import orjson

from gateway.connector import Connector
from gateway.errors import DeliveryError
from gateway.model import (
    Address,
    Handover,
    Health,
    HealthStatus,
    Receipt,
    ReceiptStatus,
    Semantics,
)
from gateway_delivery import signature
from gateway_delivery.answers import said_by
from gateway_delivery.calling import call, require_success, trusted
from gateway_delivery.config import WebhookConfig
from gateway_delivery.handover import as_data, kind_of

_EVENT: Final = "application/cloudevents+json; charset=utf-8"


class WebhookConnector(Connector[WebhookConfig]):
    """Posts CloudEvents 1.0 (structured JSON), signed by Standard Webhooks.

    Keyed by ``webhook-id``, which is the event's ``id`` and the delivery's: constant
    over attempts, while timestamp and signature are each attempt's own.
    """

    semantics = Semantics.KEYED
    grace_seconds = 0.0
    """Nobody will tell later; a repetition has no second effect."""

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return trusted(self.config.cafile)

    def secrets(self) -> list[str]:
        """Return the secrets in force, the newest files' included."""
        return [each.get_secret_value() for each in self.config.secrets]

    async def deliver(self, handover: Handover) -> Receipt:
        """Post one hand-over.

        Raises:
            DeliveryError: not taken, or whether it was taken is unknown.

        """
        body = orjson.dumps(event(handover, self.config.source))
        try:
            signed = signature.headers(
                handover.delivery_id, self.context.clock.now(), body, self.secrets()
            )
        except ValueError as error:
            raise DeliveryError(
                "bad_secret", str(error), retryable=True, account=True
            ) from None
        answer = await call(
            self.context,
            "POST",
            self.config.url,
            timeout=self.config.timeout,
            tls=self._tls,
            data=body,
            headers={"Content-Type": _EVENT, **signed},
        )
        require_success(answer)
        return Receipt(
            status=ReceiptStatus.SENT,
            at=self.context.clock.now(),
            external_id=f"webhook:{handover.delivery_id}",
            delivery_id=handover.delivery_id,
        )

    def may_answer(self, sender: Address) -> bool:
        """Tell whether ``sender`` is the service's own system."""
        return sender == said_by(self.service)

    async def check(self) -> Health:
        """Ask the address for its OPTIONS; any answer but an error will do."""
        try:
            answer = await call(
                self.context,
                "OPTIONS",
                self.config.url,
                timeout=self.config.timeout,
                tls=self._tls,
            )
        except DeliveryError as error:
            return Health(status=HealthStatus.DOWN, text=str(error))
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            text = f"there is nothing at this address ({answer.status}): check url"
            return Health(status=HealthStatus.DEGRADED, text=text)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            text = f"it answers {answer.status}"
            return Health(status=HealthStatus.DEGRADED, text=text)
        return Health(status=HealthStatus.OK)


def event(handover: Handover, source: str) -> dict[str, object]:
    """Return a hand-over as a CloudEvent (CloudEvents 1.0.2 §3.1, JSON format §3)."""
    return {
        "specversion": "1.0",
        "id": handover.delivery_id,
        "source": source,
        "type": f"municipal_gateway.{kind_of(handover)}",
        "subject": f"case/{handover.case.number}",
        "time": handover.created_at.isoformat(),
        "datacontenttype": "application/json",
        "data": as_data(handover),
    }
