"""WhatsApp for municipal-gateway, through Meta's Cloud API.

In by webhook (`WhatsAppChannel`), out by the Graph API; `gateway_whatsapp.simulator`
is a Cloud API to try it all with.
"""

from __future__ import annotations

from functools import partial

from gateway.channel import ChannelType
from gateway.model import Manners
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway_whatsapp.channel import WhatsAppChannel
from gateway_whatsapp.config import WhatsAppConfig
from gateway_whatsapp.formatting import split_text
from gateway_whatsapp.render import WINDOW
from gateway_whatsapp.siblings import Numbers

__all__ = ["WhatsAppChannel", "WhatsAppConfig", "WhatsAppPlugin"]


class WhatsAppPlugin(Plugin[NoConfig]):
    """Offers the channel of type ``whatsapp``."""

    def __init__(self) -> None:
        """Begin without channels."""
        self._numbers = Numbers()

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        """Offer a WhatsApp Business number to which citizens write."""
        return [
            ChannelType(
                "whatsapp",
                WhatsAppConfig,
                partial(WhatsAppChannel, numbers=self._numbers),
                Manners(
                    split=split_text,
                    files_apart=True,
                    locations=True,
                    menus=True,
                    mirrors_blocks=True,
                    window=WINDOW,
                ),
            )
        ]
