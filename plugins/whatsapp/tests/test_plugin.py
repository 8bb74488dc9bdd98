"""The registration, as the gateway's host sees it."""

from __future__ import annotations

from importlib.metadata import entry_points

from gateway_whatsapp import WhatsAppChannel, WhatsAppConfig, WhatsAppPlugin


def test_entry_point_names_the_plugin():
    """The distribution registers its plugin under the name ``whatsapp``."""
    [found] = entry_points(group="gateway.plugins", name="whatsapp")

    assert WhatsAppPlugin is found.load()


def test_register_channels_offers_whatsapp():
    """The plugin offers one channel type: name, configuration, constructor."""
    [offered] = WhatsAppPlugin().register_channels()

    assert ("whatsapp", WhatsAppConfig, WhatsAppChannel) == (
        offered.name,
        offered.config,
        offered.factory.func,
    )
