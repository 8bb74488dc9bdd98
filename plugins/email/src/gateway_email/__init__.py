"""E-mail for municipal-gateway: citizens' and offices' mail in and out.

In by IMAP with IDLE (`EmailChannel`), out by SMTP (`EmailChannel.send` to citizens,
`EmailConnector` to offices).
"""

from __future__ import annotations

from functools import partial

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.model import Manners
from gateway.plugin import Plugin, hookimpl
from gateway_email.channel import EmailChannel
from gateway_email.config import EmailChannelConfig, EmailConnectorConfig, EmailSettings
from gateway_email.connector import EmailConnector
from gateway_email.isolation import Child

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

    def __init__(self) -> None:
        """Have one set of child processes for all mailboxes."""
        self._child = Child()

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        """Offer the mailbox that citizens and offices write to."""
        manners = Manners(daily_notice=True)
        factory = partial(EmailChannel, child=self._child)
        return [ChannelType("email", EmailChannelConfig, factory, manners)]

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer delivery to an office by mail."""
        return [ConnectorType("email", EmailConnectorConfig, EmailConnector)]
