"""Finds where a message is about: position, text, geocoder, photo, in this order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.model import Location, Message
from gateway.plugin import Files
from gateway_routing.addresses import Wanted, wanted_in
from gateway_routing.places import Places

if TYPE_CHECKING:
    from gateway_routing.geocoder import Geocoder
    from gateway_routing.photos import Photos

SHORT = 300
"""Longer texts keep a list of streets busy for more than a millisecond."""


@dataclass(frozen=True, slots=True)
class Locator:
    """What the city has configured to find places by."""

    places: Places
    photos: Photos | None = None
    geocoder: Geocoder | None = None

    async def located(self, files: Files, message: Message) -> Location | None:
        """Return where a message is about, None if nothing tells."""
        place = await self._told(message)
        if place is None and self.photos is not None:
            place = await self.photos.located(files, message, self.places)
        if self.geocoder is None or place is None or place.address:
            return place
        address = await self.geocoder.address_at(place.latitude, place.longitude)
        return replace(place, address=address)

    async def _told(self, message: Message) -> Location | None:
        """Return the place of what the citizen sent or wrote."""
        if len(message.text) <= SHORT:
            place, wanted = self._look(message)
        else:
            place, wanted = await asyncio.to_thread(self._look, message)
        if self.geocoder is None or wanted is None or message.automatic:
            return place
        found = await self.geocoder.find(wanted)
        return self.places.found(found) if found else None

    def _look(self, message: Message) -> tuple[Location | None, Wanted | None]:
        """Return the place, or else the address whose place isn't known here."""
        place = self.places.located(message)
        if place is not None:
            return place, None
        mention = self.places.mentioned(message)
        if mention is not None:
            return None, Wanted(mention.street.name, mention.number)
        return None, wanted_in(message.text)
