"""Where a message is about: a position sent, a street in the text, a photo's position.

What the citizen sent goes before what they wrote, and that before what a camera noted.
Nothing is asked of the internet unless a geocoder is configured: `Finder` asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from gateway.errors import PluginError
from gateway.model import Location, Message
from gateway_routing.config import PlacesSection, StreetColumns
from gateway_routing.nominatim import Found
from gateway_routing.streets import Mention, Street, Streets
from gateway_routing.tables import point_of, read_table

TEXT, PHOTO = "text", "photo"


class DistrictMap(Protocol):
    """Which district a point is in; a Protocol, because the real one needs shapely."""

    def at(self, latitude: float, longitude: float) -> str:
        """Return the district of a point, "" if there is none."""


class Places:
    """What the city knows of its streets and districts."""

    def __init__(self, streets: Streets, districts: DistrictMap | None = None) -> None:
        """Look names up in ``streets``, points in ``districts``."""
        self._streets = streets
        self._districts = districts

    def located(self, message: Message) -> Location | None:
        """Return the place that position or text tell; None if there is no point."""
        mention = self.mentioned(message)
        sent = message.location
        if sent is not None:
            address = mention.address if mention and not sent.address else sent.address
            return self.in_district(replace(sent, address=address))
        if mention is None or mention.street.point is None:
            return None
        latitude, longitude = mention.street.point
        found = Location(
            latitude=latitude,
            longitude=longitude,
            address=mention.address,
            district=mention.street.district,
            source=TEXT,
        )
        return self.in_district(found)

    def mentioned(self, message: Message) -> Mention | None:
        """Return the street that is named in the text, or in the place's address."""
        place = message.location
        found = self._streets.find(message.text)
        if found is None and place is not None and place.address:
            return self._streets.find(place.address)
        return found

    def in_district(self, place: Location) -> Location:
        """Return ``place`` with its district, if a map tells it."""
        if self._districts is None:
            return place
        district = self._districts.at(place.latitude, place.longitude)
        return replace(place, district=district or place.district)

    def found(self, found: Found) -> Location | None:
        """Return the place of an address that a geocoder knows, if it is in the city.

        Where there is a map of districts, what lies outside of all is elsewhere.
        """
        place = self.in_district(
            Location(
                latitude=found.latitude,
                longitude=found.longitude,
                address=found.address,
                source=TEXT,
            )
        )
        return place if place.district or self._districts is None else None

    def taken_at(self, point: tuple[float, float]) -> Location:
        """Return the place of a photo."""
        latitude, longitude = point
        found = Location(latitude=latitude, longitude=longitude, source=PHOTO)
        return self.in_district(found)

    def street_of(self, message: Message) -> str:
        """Return the street of a message, as the city's list calls it."""
        mention = self.mentioned(message)
        return mention.street.name if mention else ""

    def district_of(self, message: Message) -> str:
        """Return the district of a message, with or without a point."""
        place = message.location or self.located(message)
        if place is not None:
            return place.district or self.in_district(place).district
        mention = self.mentioned(message)
        return mention.street.district if mention else ""


def read_streets(path: Path, columns: StreetColumns) -> Streets:
    """Return the streets of the city's list.

    Raises:
        PluginError: names file, line, what was found and what is wanted.

    """
    streets: dict[str, Street] = {}
    houses: dict[tuple[str, str], Street] = {}
    for name, number, street in _rows(path, columns):
        if number:
            houses[name, number.casefold()] = street
        if name not in streets or not number:
            streets[name] = street
    return Streets(streets.values(), houses)


def _rows(path: Path, columns: StreetColumns) -> Iterator[tuple[str, str, Street]]:
    for place, row in read_table(path, [columns.street]):
        name = row[columns.street]
        if not name:
            continue
        texts = [row.get(c, "") for c in (columns.latitude, columns.longitude)]
        point = point_of(texts, place) if all(texts) else None
        street = Street(name, row.get(columns.district, ""), point)
        yield name, row.get(columns.number, ""), street


def make_places(section: PlacesSection) -> Places:
    """Return what the configuration names.

    Raises:
        PluginError: a file is wrong, or shapely is not installed.

    """
    streets = Streets(())
    if section.streets is not None:
        streets = read_streets(section.streets, section.columns)
    return Places(streets, _districts(section))


def _districts(section: PlacesSection) -> DistrictMap | None:
    if section.districts is None:
        return None
    try:
        # A tenth of a second, and numpy: only for cities with a map.
        from gateway_routing.districts import Districts  # noqa: PLC0415
    except ImportError as error:
        raise PluginError(
            f"{error}: pip install 'municipal-gateway-routing[places]'"
        ) from None
    return Districts(section.districts, section.district_property)
