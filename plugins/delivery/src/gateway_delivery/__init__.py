"""Delivery to services for municipal-gateway, and their answers.

A folder that an office looks into (`MaildropConnector`).
"""

from __future__ import annotations

from gateway.connector import ConnectorType
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway_delivery.config import MaildropConfig
from gateway_delivery.maildrop import MaildropConnector

__all__ = ["DeliveryPlugin", "MaildropConfig", "MaildropConnector"]


class DeliveryPlugin(Plugin[NoConfig]):
    """Offers the ways to services' systems."""

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer the connectors."""
        return [ConnectorType("maildrop", MaildropConfig, MaildropConnector)]
