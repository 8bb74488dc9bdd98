"""Routing: rules, a learnt model or the citizen name the competent service."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

from gateway.commands import CommandGroup
from gateway.model import Assignment, Message, ServiceId
from gateway.plugin import Context, Plugin, hookimpl
from gateway_routing import commands
from gateway_routing.conditions import Guess
from gateway_routing.config import RoutingConfig, Rule
from gateway_routing.languages import Languages
from gateway_routing.router import Router

if TYPE_CHECKING:
    from gateway_routing.model import Model

__all__ = ["RoutingConfig", "RoutingPlugin", "Rule", "make_router"]

_SHORT = 300
"""Longer texts keep a model busy for more than a millisecond."""


class RoutingPlugin(Plugin[RoutingConfig]):
    """Assigns messages to services."""

    def __init__(self) -> None:
        """Know no rule before `startup`."""
        self._router = Router(RoutingConfig())
        self._slow = False

    @hookimpl
    def register_commands(self, group: CommandGroup) -> None:
        """Add ``gateway routing train | evaluate | explain``."""
        commands.register(group, make_router)

    @hookimpl
    async def startup(self, context: Context[RoutingConfig]) -> None:
        """Prepare the layers."""
        self._router = await asyncio.to_thread(
            make_router, context.config, context.services
        )
        self._slow = context.config.model is not None

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        """Name the service that was chosen, or that rules or model name; or ask."""
        if self._slow and len(message.text) > _SHORT:
            return await asyncio.to_thread(self._router.route, message)
        return self._router.route(message)


def make_router(config: RoutingConfig, services: Collection[ServiceId]) -> Router:
    """Return the layers that ``config`` asks for.

    Raises:
        PluginError: the model can't be read, or what tells languages is missing.

    """
    return Router(config, services, model=_model(config), guess=_guess(config.rules))


def _model(config: RoutingConfig) -> Model | None:
    if config.model is None:
        return None
    # It needs numpy, which only a city with a model shall load.
    from gateway_routing.model import Model  # noqa: PLC0415

    return Model.load(config.model.file)


def _guess(rules: tuple[Rule, ...]) -> Guess:
    """Return what guesses languages, if a rule names one: it is costly to load."""
    wanted = {language for rule in rules for language in rule.languages}
    return Languages(wanted).guess if wanted else lambda _: ""
