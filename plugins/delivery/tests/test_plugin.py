"""What the plugin offers, and how its parts find each other."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from gateway_delivery import (
    DeliveryPlugin,
    MaildropConfig,
    Open311Config,
    ServicesConfig,
)
from georeport_server import CITY, KEY, georeport

from gateway.errors import ConfigError
from gateway.model import ChannelId, HealthStatus, ServiceId


def test_entry_point_names_the_plugin():
    """``plugins = ["delivery"]`` finds it."""
    (entry,) = entry_points(group="gateway.plugins", name="delivery")

    assert DeliveryPlugin is entry.load()


def test_names_are_those_of_the_manual():
    """What a configuration calls them."""
    plugin = DeliveryPlugin()

    assert ["services", "open311"] == [each.name for each in plugin.register_channels()]
    names = [each.name for each in plugin.register_connectors()]
    assert ["maildrop", "webhook", "open311"] == names


def test_second_channel_for_answers_is_refused(context):
    """It would fetch everything twice."""
    plugin = DeliveryPlugin()
    kind, _ = plugin.register_channels()
    kind.factory(ChannelId("sistemi"), ServicesConfig(), context)

    kind.factory(ChannelId("sistemi"), ServicesConfig(), context)
    with pytest.raises(ConfigError, match="there is sistemi"):
        kind.factory(ChannelId("altri"), ServicesConfig(), context)


@pytest.mark.parametrize("with_channel", [False, True])
async def test_answers_that_nobody_would_hear_are_told(with_channel, context, tmp_path):
    """Without a channel of type services, check says what to add."""
    plugin = DeliveryPlugin()
    drop, _, open311 = plugin.register_connectors()
    if with_channel:
        kind, _ = plugin.register_channels()
        kind.factory(ChannelId("sistemi"), ServicesConfig(), context)
    async with georeport() as server:
        config = Open311Config(
            base_url=server.url,
            api_key=KEY,
            jurisdiction_id=CITY,
            service_code="002",
            attributes={},
        )
        made = [
            drop.factory(ServiceId("a"), MaildropConfig(path=tmp_path), context),
            drop.factory(
                ServiceId("b"), MaildropConfig(path=tmp_path, answers=True), context
            ),
            open311.factory(ServiceId("c"), config, context),
        ]
        found = [await each.check() for each in made]

    expected = HealthStatus.OK if with_channel else HealthStatus.DEGRADED
    assert [HealthStatus.OK, expected, expected] == [each.status for each in found]
