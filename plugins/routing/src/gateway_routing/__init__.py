"""Routing: rules, a learnt model or the citizen name the competent service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from gateway.commands import CommandGroup
from gateway.errors import PluginError
from gateway.model import Assignment, Health, Message, ServiceId
from gateway.plugin import Context, Plugin, hookimpl
from gateway_routing.conditions import FindAreas, Guess, Once, Senses, nowhere, unknown
from gateway_routing.config import PlacesSection, RoutingConfig, Rule
from gateway_routing.languages import Languages
from gateway_routing.router import Router

if TYPE_CHECKING:
    from pathlib import Path

    from gateway_routing.geocoder import Geocoder
    from gateway_routing.locating import Locator
    from gateway_routing.model import Model
    from gateway_routing.photos import Photos
    from gateway_routing.places import Places

__all__ = ["RoutingConfig", "RoutingPlugin", "Rule", "make_router"]

_SHORT = 300
"""Longer texts keep a model or a list of streets busy for more than a millisecond."""

_LONG = 10_000
"""Longer ones do so to rules."""

_NO_SHAPELY = "{}: pip install 'municipal-gateway-routing[places]'"

ResultT = TypeVar("ResultT")


class RoutingPlugin(Plugin[RoutingConfig]):
    """Assigns messages to services."""

    def __init__(self) -> None:
        """Know no rule before `startup`."""
        self._router = Router(RoutingConfig())
        self._slow = False
        self._locator: Locator | None = None
        self._geocoder: Geocoder | None = None
        self._working: list[asyncio.Task[None]] = []

    @hookimpl
    def register_commands(self, group: CommandGroup) -> None:
        """Add ``gateway routing train | evaluate | explain``."""
        # The daemon has no use for them.
        from gateway_routing import commands  # noqa: PLC0415

        commands.register(group, make_router)

    @hookimpl
    async def startup(self, context: Context[RoutingConfig]) -> None:
        """Prepare the layers."""
        config = context.config
        places = await asyncio.to_thread(_places, config)
        self._router = await asyncio.to_thread(
            make_router, config, context.services, places
        )
        self._slow = config.model is not None or places is not None
        if places is not None:
            self._geocoder = _geocoder(context)
            self._locator = _locator(places, _photos(config), self._geocoder)
        if self._geocoder is not None:
            works = (self._geocoder.check(), self._geocoder.tidy())
            self._working = [asyncio.create_task(work) for work in works]

    @hookimpl
    async def check_health(self) -> Health | None:
        """Say whether the geocoder answers; without it, messages go on."""
        if self._geocoder is None:
            return None
        await asyncio.wait(self._working[:1])
        return self._geocoder.health()

    @hookimpl
    async def shutdown(self) -> None:
        """Stop asking."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    @hookimpl
    async def enrich_message(
        self, context: Context[RoutingConfig], message: Message
    ) -> Message | None:
        """Add where it is about: address, district, a point on the map."""
        if self._locator is None or message.amendment is not None:
            return None
        place = await self._locator.located(context.files, message)
        return None if place is None else replace(message, location=place)

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        """Name the service that was chosen, or that rules or model name; or ask."""
        return await self._briefly(message, self._router.route)

    async def _briefly(
        self, message: Message, work: Callable[[Message], ResultT]
    ) -> ResultT:
        """Do what takes long with a long text beside the event loop."""
        if len(message.text) > (_SHORT if self._slow else _LONG):
            return await asyncio.to_thread(work, message)
        return work(message)


def make_router(
    config: RoutingConfig,
    services: Collection[ServiceId],
    places: Places | None = None,
) -> Router:
    """Return the layers that ``config`` asks for.

    Raises:
        PluginError: the model or a list can't be read, or a library is missing.

    """
    places = places or _places(config)
    senses = Senses(
        language=Once(_guess(config.rules)),
        street=Once(places.street_of) if places else unknown,
        district=Once(places.district_of) if places else unknown,
        areas=Once(_areas(config.rules, places)),
    )
    return Router(config, services, model=_model(config), senses=senses)


# What follows is imported where it is configured: nobody else shall wait for it.


def _places(config: RoutingConfig) -> Places | None:
    if config.places is None and config.geocoder is None:
        return None
    from gateway_routing.places import make_places  # noqa: PLC0415

    return make_places(config.places or PlacesSection())


def _locator(
    places: Places, photos: Photos | None, geocoder: Geocoder | None
) -> Locator:
    from gateway_routing.locating import Locator  # noqa: PLC0415

    return Locator(places, photos, geocoder)


def _geocoder(context: Context[RoutingConfig]) -> Geocoder | None:
    """Return what asks the internet, if the city has decided so."""
    section = context.config.geocoder
    if section is None:
        return None
    from gateway_routing.geocoder import Geocoder  # noqa: PLC0415

    return Geocoder(section, context)


def _areas(rules: Sequence[Rule], places: Places | None) -> FindAreas:
    """Return what tells in which areas of the rules a message's point is."""
    files = {
        file: f"plugins.routing.rules[{number}].areas"
        for number, rule in enumerate(rules)
        for file in rule.areas
    }
    if not files:
        return nowhere
    try:
        from gateway_routing.areas import Areas  # noqa: PLC0415
    except ImportError as error:
        raise PluginError(_NO_SHAPELY.format(error)) from None
    areas = Areas(files)

    def find(message: Message) -> Collection[Path]:
        place = message.location or (places.located(message) if places else None)
        return areas.at(place.latitude, place.longitude) if place else ()

    return find


def _photos(config: RoutingConfig) -> Photos | None:
    """Return what reads photos, if the city has decided so."""
    if config.places is None or not config.places.exif:
        return None
    from gateway_routing.photos import Photos  # noqa: PLC0415

    return Photos()


def _model(config: RoutingConfig) -> Model | None:
    if config.model is None:
        return None
    try:
        from gateway_routing.model import Model  # noqa: PLC0415
    except ImportError as error:
        raise PluginError(
            f"{error}: pip install 'municipal-gateway-routing[model]'"
        ) from None
    return Model.load(config.model.file)


def _guess(rules: tuple[Rule, ...]) -> Guess:
    """Return what guesses languages, if a rule names one: it is costly to load."""
    wanted = {language for rule in rules for language in rule.languages}
    return Languages(wanted).guess if wanted else lambda _: ""
