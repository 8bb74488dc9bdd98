"""E-mail for municipal-gateway: citizens' and offices' mail in and out.

In by IMAP with IDLE (`EmailChannel`), out by SMTP (`EmailChannel.send` to citizens,
`EmailConnector` to offices).
"""

from __future__ import annotations

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.model import Manners
from gateway.plugin import Plugin, hookimpl
from gateway_email.channel import EmailChannel
from gateway_email.config import EmailChannelConfig, EmailConnectorConfig, EmailSettings
from gateway_email.connector import EmailConnector

__all__ = [
    "EmailChannel",
    "EmailChannelConfig",
    "EmailConnector",
    "EmailConnectorConfig",
    "EmailPlugin",
    "EmailSettings",
]


class EmailPlugin(Plugin[EmailSettings]):
    """Offers the channel and the connector of type ``email``."""

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        """Offer the mailbox that citizens and offices write to."""
        manners = Manners(daily_notice=True)
        return [ChannelType("email", EmailChannelConfig, EmailChannel, manners)]

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer delivery to an office by mail."""
        return [ConnectorType("email", EmailConnectorConfig, EmailConnector)]
