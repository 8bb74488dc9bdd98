"""Several numbers on one app: Meta sends the events of all of them to one address."""

from __future__ import annotations

from gateway.model import ChannelId
from gateway_whatsapp.config import WhatsAppConfig


class Numbers:
    """The plugin's channels, so that each gets its part of what comes to another."""

    def __init__(self) -> None:
        """Begin without channels."""
        self._channels: dict[ChannelId, WhatsAppConfig] = {}

    def add(self, channel_id: ChannelId, config: WhatsAppConfig) -> None:
        """Note a channel; one made anew takes its own place."""
        self._channels[channel_id] = config

    def remove(self, channel_id: ChannelId, config: WhatsAppConfig) -> None:
        """Forget a channel, unless it has been made anew since."""
        if self._channels.get(channel_id) is config:
            del self._channels[channel_id]

    def siblings(self, config: WhatsAppConfig) -> dict[ChannelId, WhatsAppConfig]:
        """Return the other channels of the app: they have a secret of it in common."""
        others = {
            key: each for key, each in self._channels.items() if each is not config
        }
        if not others:
            return {}
        ours = set(config.keys())
        return {key: each for key, each in others.items() if ours & set(each.keys())}
