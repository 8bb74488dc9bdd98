"""What the gateway finds when it loads the plugin."""

from __future__ import annotations

from importlib.metadata import entry_points, metadata

from gateway_email import (
    EmailChannel,
    EmailChannelConfig,
    EmailConnector,
    EmailConnectorConfig,
    EmailPlugin,
    EmailSettings,
)

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.model import Manners


def test_entry_point_names_the_plugin() -> None:
    """The plugin is found as ``email`` and knows its section."""
    [entry] = entry_points(group="gateway.plugins", name="email")

    assert entry.load() is EmailPlugin
    assert EmailPlugin.config is EmailSettings


def test_channel_and_connector_are_offered() -> None:
    """Both are of type ``email``; the channel's notices are one a day."""
    plugin = EmailPlugin()

    manners = Manners(daily_notice=True)
    channels = [ChannelType("email", EmailChannelConfig, EmailChannel, manners)]
    connectors = [ConnectorType("email", EmailConnectorConfig, EmailConnector)]
    assert plugin.register_channels() == channels
    assert plugin.register_connectors() == connectors


def test_licence_is_declared() -> None:
    """The distribution says that it is under the GPL, for aioimaplib's sake."""
    declared = metadata("municipal-gateway-email")

    assert declared["License-Expression"] == "GPL-3.0-or-later"
