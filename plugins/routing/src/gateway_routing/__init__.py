"""Routing by keywords: words of a message speak for a competent service."""

from __future__ import annotations

from gateway.model import Assignment, Message
from gateway.plugin import Context, Plugin, hookimpl
from gateway_routing.config import RoutingConfig, Rule
from gateway_routing.keywords import Keywords

__all__ = ["RoutingConfig", "RoutingPlugin", "Rule"]


class RoutingPlugin(Plugin[RoutingConfig]):
    """Assigns messages to services by the rules of the city."""

    def __init__(self) -> None:
        """Know no keyword before `startup`."""
        self._keywords = Keywords(())

    @hookimpl
    async def startup(self, context: Context[RoutingConfig]) -> None:
        """Prepare the look-up."""
        self._keywords = Keywords(context.config.rules)

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        """Name the service whose words are in the text, if any are."""
        return self._keywords.assign(message.text)
