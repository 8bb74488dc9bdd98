"""Delivery to services for municipal-gateway, and their answers.

Out as a folder (`MaildropConnector`), a signed CloudEvent (`WebhookConnector`) or an
Open311 request (`Open311Connector`); the answers in by `ServicesChannel`. The city's
own app reports by `Open311Channel`.
"""

from __future__ import annotations

from typing import Any

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.errors import ConfigError, Problem
from gateway.model import Assignment, ChannelId, Message, ServiceId
from gateway.plugin import Context, NoConfig, Plugin, hookimpl
from gateway_delivery.channel import ServicesChannel
from gateway_delivery.config import (
    MaildropConfig,
    Open311Config,
    ServicesConfig,
    WebhookConfig,
)
from gateway_delivery.maildrop import MaildropConnector
from gateway_delivery.open311.connector import Open311Connector
from gateway_delivery.open311_server.channel import Open311Channel
from gateway_delivery.open311_server.config import Open311ServerConfig
from gateway_delivery.systems import Systems
from gateway_delivery.webhook import WebhookConnector

__all__ = [
    "DeliveryPlugin",
    "MaildropConfig",
    "MaildropConnector",
    "Open311Channel",
    "Open311Config",
    "Open311Connector",
    "Open311ServerConfig",
    "ServicesChannel",
    "ServicesConfig",
    "WebhookConfig",
    "WebhookConnector",
]


class DeliveryPlugin(Plugin[NoConfig]):
    """Offers the ways to services' systems, and the one back."""

    def __init__(self) -> None:
        """Have no connector yet."""
        self._systems = Systems()
        self._apps: dict[ChannelId, Open311Channel] = {}

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        """Offer the channels by which services answer, and the city's app reports."""
        return [
            ChannelType("services", ServicesConfig, self._hear),
            ChannelType("open311", Open311ServerConfig, self._serve),
        ]

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer the connectors."""
        return [
            ConnectorType("maildrop", MaildropConfig, self._drop),
            ConnectorType("webhook", WebhookConfig, self._post),
            ConnectorType("open311", Open311Config, self._report),
        ]

    @hookimpl(tryfirst=True)
    async def route_message(self, message: Message) -> Assignment | None:
        """Send a report of the city's app to the service of its kind; no rule can."""
        app = self._apps.get(message.channel)
        return None if app is None else app.assign(message)

    def _serve(
        self, channel_id: ChannelId, config: Open311ServerConfig, context: Context[Any]
    ) -> Open311Channel:
        self._apps[channel_id] = Open311Channel(channel_id, config, context)
        return self._apps[channel_id]

    def _hear(
        self, channel_id: ChannelId, config: ServicesConfig, context: Context[Any]
    ) -> ServicesChannel:
        """Make the one channel for all connectors, which are made after it."""
        if self._systems.channel not in {None, channel_id}:
            problem = Problem(
                file="configuration",
                line=None,
                key=f"channels.{channel_id}",
                found="a second channel of type services",
                allowed=f"one for all services; there is {self._systems.channel}",
            )
            raise ConfigError((problem,))
        self._systems = Systems()
        self._systems.channel = channel_id
        return ServicesChannel(channel_id, config, context, self._systems)

    def _drop(
        self, service: ServiceId, config: MaildropConfig, context: Context[Any]
    ) -> MaildropConnector:
        connector = MaildropConnector(service, config, context)
        connector.heard = self._systems.channel is not None
        self._systems.add(service, connector)
        return connector

    def _post(
        self, service: ServiceId, config: WebhookConfig, context: Context[Any]
    ) -> WebhookConnector:
        connector = WebhookConnector(service, config, context)
        self._systems.add(service, connector)
        return connector

    def _report(
        self, service: ServiceId, config: Open311Config, context: Context[Any]
    ) -> Open311Connector:
        connector = Open311Connector(service, config, context)
        connector.heard = self._systems.channel is not None
        self._systems.add(service, connector)
        return connector
