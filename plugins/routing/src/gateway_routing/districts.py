"""Districts of the city: polygons of a GeoJSON file, each with a name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely  # type: ignore[import-untyped]

from gateway.errors import PluginError
from gateway_routing.geojson import features_of


class Districts:
    """Which district a point is in."""

    def __init__(self, path: Path, name_property: str = "name") -> None:
        """Read ``path``: each feature is a district, named by a property.

        Raises:
            PluginError: names file and feature, what was found and what is wanted.

        """
        named = list(_named(path, name_property))
        self._names = [name for name, _ in named]
        self._tree = shapely.STRtree([area for _, area in named])

    def at(self, latitude: float, longitude: float) -> str:
        """Return the district of a point; "" outside of all, the first of several."""
        point = shapely.Point(longitude, latitude)
        found = self._tree.query(point, predicate="intersects")
        return self._names[min(found)] if len(found) else ""

    @property
    def names(self) -> list[str]:
        """Return the names of all districts."""
        return self._names


def _named(path: Path, name_property: str) -> Iterator[tuple[str, Any]]:
    for where, properties, area in features_of(path):
        name = properties.get(name_property)
        if not isinstance(name, str) or not name.strip():
            found = ", ".join(map(str, properties)) or "none"
            raise PluginError(
                f"{where}: found properties {found}; wanted a text {name_property!r}"
            )
        yield name.strip(), area
