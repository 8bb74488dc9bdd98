"""E-mail for municipal-gateway: citizens' and offices' mail in and out.

In by IMAP with IDLE (`EmailChannel`), out by SMTP (`EmailChannel.send` to citizens,
`EmailConnector` to offices). Registered mail (PEC) the same way: `PecChannel` and
`PecConnector`.
"""

from __future__ import annotations

from typing import Any

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.errors import ConfigError, Problem
from gateway.model import ChannelId, Manners, ServiceId
from gateway.plugin import Context, Plugin, hookimpl
from gateway_email.channel import EmailChannel
from gateway_email.config import EmailChannelConfig, EmailConnectorConfig, EmailSettings
from gateway_email.connector import EmailConnector
from gateway_email.folder_names import folded
from gateway_email.isolation import Child, Limits
from gateway_email.oauth2 import Wallet
from gateway_email.pec.account import Account
from gateway_email.pec.channel import PecChannel
from gateway_email.pec.config import PecChannelConfig, PecConnectorConfig
from gateway_email.pec.connector import PecConnector

__all__ = [
    "EmailChannel",
    "EmailChannelConfig",
    "EmailConnector",
    "EmailConnectorConfig",
    "EmailPlugin",
    "EmailSettings",
    "PecChannel",
    "PecChannelConfig",
    "PecConnector",
    "PecConnectorConfig",
]


class EmailPlugin(Plugin[EmailSettings]):
    """Offers channels and connectors of the types ``email`` and ``pec``."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Have one set of child processes for all mailboxes, and no PEC mailbox yet.

        Channels make them known; the gateway makes these before connectors.
        """
        self._child = Child(limits)
        self._wallet = Wallet()
        self._accounts: dict[ChannelId, Account] = {}
        self._read: set[str] = set()
        self._readers: dict[tuple[str, str, str], ChannelId] = {}

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        """Offer the mailboxes that citizens and offices write to."""
        manners = Manners(daily_notice=True)
        return [
            ChannelType("email", EmailChannelConfig, self._open, manners),
            ChannelType("pec", PecChannelConfig, self._open_pec, manners),
        ]

    @hookimpl
    async def startup(self, context: Context[EmailSettings]) -> None:
        """Keep refresh tokens where every channel and connector finds them."""
        self._wallet.state = context.state

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer delivery to an office by mail, ordinary or registered."""
        return [
            ConnectorType("email", EmailConnectorConfig, self._write),
            ConnectorType("pec", PecConnectorConfig, self._write_pec),
        ]

    def _open(
        self, channel_id: ChannelId, config: EmailChannelConfig, context: Context[Any]
    ) -> EmailChannel:
        """Make the channel of an ordinary mailbox, and note that it is read."""
        self._claim(channel_id, config)
        channel = EmailChannel(
            channel_id, config, context, child=self._child, wallet=self._wallet
        )
        channel.accounts = self._read
        return channel

    def _write(
        self, service: ServiceId, config: EmailConnectorConfig, context: Context[Any]
    ) -> EmailConnector:
        """Make a connector that knows which mailboxes are read."""
        connector = EmailConnector(service, config, context, self._wallet)
        connector.accounts = self._read
        return connector

    def _open_pec(
        self, channel_id: ChannelId, config: PecChannelConfig, context: Context[Any]
    ) -> PecChannel:
        """Make the channel of a PEC mailbox, from which connectors may write."""
        self._claim(channel_id, config)
        channel = PecChannel(
            channel_id, config, context, child=self._child, wallet=self._wallet
        )
        self._accounts[channel_id] = channel.account
        return channel

    def _write_pec(
        self, service: ServiceId, config: PecConnectorConfig, context: Context[Any]
    ) -> PecConnector:
        """Make a connector that writes from the mailbox of a channel."""
        account = self._accounts[config.channel]
        return PecConnector(service, config, context, account)

    def _claim(self, channel_id: ChannelId, config: EmailChannelConfig) -> None:
        """Take a channel's folders for it alone: each mail is to come in once.

        Raises:
            ConfigError: another channel reads one of them.

        """
        for folder in config.folders:
            place = (config.host.lower(), config.username.lower(), folded(folder))
            reader = self._readers.setdefault(place, channel_id)
            if reader != channel_id:
                problem = Problem(
                    file="configuration",
                    line=None,
                    key=f"channels.{channel_id}.folders",
                    found=f"{folder} of {config.username}, read by {reader}, too",
                    allowed="each folder of a mailbox in one channel",
                )
                raise ConfigError((problem,))
        self._read.add(config.username)
