"""What the gateway finds when it loads the plugin."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points, metadata

import pytest
from gateway_email import (
    EmailChannel,
    EmailChannelConfig,
    EmailConnectorConfig,
    EmailPlugin,
    EmailSettings,
    PecChannelConfig,
    PecConnectorConfig,
)

from gateway.errors import ConfigError
from gateway.model import Manners
from gateway.plugin import Context


def test_entry_point_names_the_plugin() -> None:
    """The plugin is found as ``email`` and knows its section."""
    [entry] = entry_points(group="gateway.plugins", name="email")

    assert entry.load() is EmailPlugin
    assert EmailPlugin.config is EmailSettings


async def test_channel_and_connector_are_offered(
    context: Callable[..., Context[EmailSettings]],
) -> None:
    """Of type ``email`` and ``pec``; the channels' notices are one a day."""
    plugin = EmailPlugin()
    offered, certified = plugin.register_channels()
    values = {"host": "h", "username": "u", "password": "p"}
    config = EmailChannelConfig.model_validate(values)
    other = config.model_copy(update={"username": "v"})
    channels = [
        offered.factory(name, each, context())
        for name, each in (("a", config), ("b", other))
    ]

    assert (offered.name, offered.config) == ("email", EmailChannelConfig)
    assert offered.manners == Manners(daily_notice=True)
    assert [type(each) for each in channels] == [EmailChannel] * 2
    assert channels[0].child is channels[1].child
    assert (certified.name, certified.config) == ("pec", PecChannelConfig)
    assert certified.manners == offered.manners
    ordinary, registered = plugin.register_connectors()
    assert (ordinary.name, ordinary.config) == ("email", EmailConnectorConfig)
    assert (registered.name, registered.config) == ("pec", PecConnectorConfig)


async def test_two_channels_do_not_read_one_folder(
    context: Callable[..., Context[EmailSettings]],
) -> None:
    """Each mail would come in twice; other folders of the mailbox are no harm."""
    offered, _ = EmailPlugin().register_channels()

    def make(name: str, **changes: object) -> None:
        values = {"host": "h", "username": "u", "password": "p", **changes}
        config = EmailChannelConfig.model_validate(values)
        offered.factory(name, config, context())

    make("a", folders=["INBOX", "Moduli"])
    make("b", folders=["Reclami"])
    with pytest.raises(ConfigError, match=r"channels\.c\.folders.*read by a, too"):
        make("c", host="H", folders=["inbox"])


def test_licence_is_declared() -> None:
    """The distribution says that it is under the GPL, for aioimaplib's sake."""
    declared = metadata("municipal-gateway-email")

    assert declared["License-Expression"] == "GPL-3.0-or-later"
