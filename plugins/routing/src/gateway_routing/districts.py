"""Districts of the city: polygons of a GeoJSON file (RFC 7946). Needs shapely."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shapely  # type: ignore[import-untyped]

from gateway.errors import PluginError

_KINDS = ("Polygon", "MultiPolygon")


class Districts:
    """Which district a point is in."""

    def __init__(self, path: Path, name_property: str = "name") -> None:
        """Read ``path``: each feature is a district, named by a property.

        Raises:
            PluginError: names file and feature, what was found and what is wanted.

        """
        named = list(_features(path, name_property))
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


def _features(path: Path, name_property: str) -> Iterator[tuple[str, Any]]:
    try:
        document = json.loads(path.read_bytes())
        features = document["features"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = f"{path}: {error!r}; wanted a GeoJSON file, a FeatureCollection"
        raise PluginError(text) from None
    if not isinstance(features, list) or not features:
        raise PluginError(f"{path}: features: found none; wanted one a district")
    for number, feature in enumerate(features):
        try:
            yield _district(feature, name_property)
        except (ValueError, KeyError, TypeError, shapely.GEOSException) as error:
            raise PluginError(f"{path}: features[{number}]: {error}") from None


def _district(feature: Mapping[str, Any], name_property: str) -> tuple[str, Any]:
    properties = feature["properties"] or {}
    name = properties.get(name_property)
    if not isinstance(name, str) or not name.strip():
        found = ", ".join(map(str, properties)) or "none"
        raise ValueError(f"found properties {found}; wanted a text {name_property!r}")
    geometry = feature["geometry"]
    if geometry["type"] not in _KINDS:
        raise ValueError(f"found {geometry['type']}; wanted one of {', '.join(_KINDS)}")
    area = shapely.from_geojson(json.dumps(geometry))
    west, south, east, north = area.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):  # noqa: PLR2004
        raise ValueError(
            f"found coordinates {west:g} {south:g}; wanted WGS 84 degrees (RFC 7946 §4)"
        )
    # A border that crosses itself is mended rather than refused: cities draw them.
    return name.strip(), shapely.make_valid(area)
