"""Routing: rules of the city name a service, or the citizen is asked."""

from __future__ import annotations

from gateway.model import Assignment, Message
from gateway.plugin import Context, Plugin, hookimpl
from gateway_routing.conditions import Guess
from gateway_routing.config import RoutingConfig, Rule
from gateway_routing.languages import Languages
from gateway_routing.menu import TopicMenu
from gateway_routing.rules import RuleBook

__all__ = ["RoutingConfig", "RoutingPlugin", "Rule"]


class RoutingPlugin(Plugin[RoutingConfig]):
    """Assigns messages to services by the rules of the city."""

    def __init__(self) -> None:
        """Know no rule before `startup`."""
        self._rules = RuleBook(())
        self._menu: TopicMenu | None = None

    @hookimpl
    async def startup(self, context: Context[RoutingConfig]) -> None:
        """Prepare look-up and menu."""
        config = context.config
        self._rules = RuleBook(config.rules, _guess(config.rules))
        if config.question is not None:
            self._menu = TopicMenu(config.question)

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        """Name the service that was chosen, or that a rule names; or ask."""
        menu = self._menu
        chosen = menu.chosen(message) if menu else None
        found = chosen or self._rules.assign(message)
        if found is None and menu is not None and message.amendment is None:
            return menu.asking()
        return found


def _guess(rules: tuple[Rule, ...]) -> Guess:
    """Return what guesses languages, if a rule names one: it is costly to load."""
    wanted = {language for rule in rules for language in rule.languages}
    return Languages(wanted).guess if wanted else lambda _: ""
