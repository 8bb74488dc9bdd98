"""The services' systems that the plugin's connectors reach, and that may answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from gateway.model import ChannelId, Health, HealthStatus, ServiceId
from gateway.plugin import Context
from gateway_delivery.webhook import WebhookConnector

UNHEARD = Health(
    status=HealthStatus.DEGRADED,
    text='its answers reach nobody: add a [channels.<id>] with type = "services"',
)


@runtime_checkable
class Fetched(Protocol):
    """A connector whose system's answers have to be fetched."""

    @abstractmethod
    async def fetch_answers(self, channel: ChannelId, context: Context[Any]) -> None:
        """Hand what is new to ``context.inbox``, as of ``channel``."""


class Systems:
    """All connectors of one plugin; channels are made before them, and look here.

    ``channel``: the one by which they can answer, if there is any.
    """

    def __init__(self) -> None:
        """Know none yet."""
        self.channel: ChannelId | None = None
        self._connectors: list[tuple[ServiceId, object]] = []

    def add(self, service: ServiceId, connector: object) -> None:
        """Note a connector of a service."""
        self._connectors.append((service, connector))

    def services(self) -> set[ServiceId]:
        """Return the services that have a connector here."""
        return {service for service, _ in self._connectors}

    def secrets(self, service: ServiceId) -> list[str]:
        """Return the secrets that a service's system signs by; none if it has none."""
        return [
            secret
            for owner, connector in self._connectors
            if owner == service and isinstance(connector, WebhookConnector)
            for secret in connector.secrets()
        ]

    def fetched(self) -> Iterable[Fetched]:
        """Return the connectors whose answers are to be fetched."""
        return [each for _, each in self._connectors if isinstance(each, Fetched)]
