"""Routing: words of a message speak for a service, or the citizen is asked."""

from __future__ import annotations

from gateway.model import Assignment, Message
from gateway.plugin import Context, Plugin, hookimpl
from gateway_routing.config import RoutingConfig, Rule
from gateway_routing.keywords import Keywords
from gateway_routing.menu import TopicMenu

__all__ = ["RoutingConfig", "RoutingPlugin", "Rule"]


class RoutingPlugin(Plugin[RoutingConfig]):
    """Assigns messages to services by the rules of the city."""

    def __init__(self) -> None:
        """Know no keyword before `startup`."""
        self._keywords = Keywords(())
        self._menu: TopicMenu | None = None

    @hookimpl
    async def startup(self, context: Context[RoutingConfig]) -> None:
        """Prepare look-up and menu."""
        self._keywords = Keywords(context.config.rules)
        if context.config.question is not None:
            self._menu = TopicMenu(context.config.question)

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        """Name the service that was chosen, or whose words are there; or ask."""
        menu = self._menu
        chosen = menu.chosen(message) if menu else None
        found = chosen or self._keywords.assign(message.text)
        if found is None and menu is not None and message.amendment is None:
            return menu.asking()
        return found
