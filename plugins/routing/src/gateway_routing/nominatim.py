"""The HTTP API of Nominatim: what is asked of ``search`` and ``reverse``, and answered.

Source: nominatim.org/release-docs, API reference; answers in the format ``jsonv2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import PayloadError
from gateway.payload import Payload

Params = Mapping[str, str]

SEARCH: Final = "search"
REVERSE: Final = "reverse"
STATUS: Final = "status"

STREET_RANK: Final = 26
"""From this ``place_rank`` on a place is a street, or something in one."""

_COMMON: Final = {"format": "jsonv2", "addressdetails": "1", "layer": "address"}
_ROADS: Final = ("road", "square", "pedestrian", "footway")


@dataclass(frozen=True, slots=True)
class Found:
    """A street, or a house of it, and its point in WGS 84 degrees."""

    street: str
    number: str
    latitude: float
    longitude: float

    @property
    def address(self) -> str:
        """Return the street with its house number."""
        return f"{self.street} {self.number}".rstrip()


def search(street: str, number: str, city: str, language: str) -> Params:
    """Return the query for an address in an Italian city (structured request)."""
    return {
        **_COMMON,
        "street": f"{number} {street}".lstrip(),
        "city": city,
        "countrycodes": "it",
        "limit": "5",
        "accept-language": language,
    }


def reverse(latitude: float, longitude: float, language: str) -> Params:
    """Return the query for what is at a point."""
    return {
        **_COMMON,
        "lat": f"{latitude:.4f}",
        "lon": f"{longitude:.4f}",
        "zoom": "18",
        "accept-language": language,
    }


def read_search(body: bytes) -> list[Found]:
    """Return the streets and houses of an answer, the best first.

    Raises:
        PayloadError: it is no answer of such a server.

    """
    return list(_streets(Payload.from_json(body)))


def read_reverse(body: bytes) -> list[Found]:
    """Return the street or house of an answer; none if there is nothing near.

    Raises:
        PayloadError: it is no answer of such a server.

    """
    said = Payload.from_json(body)
    # "Unable to geocode" is an error with status 200.
    return [] if said.has("error") else list(_streets([said]))


def read_status(body: bytes) -> str:
    """Return what is wrong with the server's database, "" if nothing is.

    Raises:
        PayloadError: it is no answer of such a server.

    """
    said = Payload.from_json(body)
    return said.text("message") if said.integer("status") else ""


def _streets(places: Payload | list[Payload]) -> Iterator[Found]:
    for place in places:
        if place.integer("place_rank") < STREET_RANK or not place.has("address"):
            continue
        address = place.get("address")
        roads = [address.text(name) for name in _ROADS if address.has(name)]
        if roads:
            yield Found(
                street=roads[0].strip(),
                number=address.text_or("house_number").strip(),
                latitude=_degrees(place, "lat", 90),
                longitude=_degrees(place, "lon", 180),
            )


def _degrees(place: Payload, key: str, most: int) -> float:
    """Read degrees, which are written as a text."""
    member = place.get(key)
    try:
        degrees = float(member.as_text())
    except ValueError:
        degrees = float("nan")
    if not abs(degrees) <= most:
        raise PayloadError(member.path, f"expected degrees up to {most}")
    return degrees
