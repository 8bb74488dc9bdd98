"""Areas that rules draw: GeoJSON files, all looked up at once. Needs shapely."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shapely  # type: ignore[import-untyped]

from gateway.errors import PluginError
from gateway_routing.geojson import features_of


class Areas:
    """In which of the files' areas a point is."""

    def __init__(self, files: Mapping[Path, str]) -> None:
        """Read ``files``, each named by a key of the configuration.

        Of a file with several polygons any will do.

        Raises:
            PluginError: names key, file and feature, what was found and is wanted.

        """
        drawn = list(_drawn(files))
        self._files = [file for file, _ in drawn]
        self._tree = shapely.STRtree([area for _, area in drawn])

    def at(self, latitude: float, longitude: float) -> frozenset[Path]:
        """Return the files in whose areas a point (WGS 84 degrees) is."""
        point = shapely.Point(longitude, latitude)
        found = self._tree.query(point, predicate="intersects")
        return frozenset(self._files[number] for number in found)


def _drawn(files: Mapping[Path, str]) -> Iterator[tuple[Path, Any]]:
    for file, key in files.items():
        try:
            yield from ((file, area) for _, _, area in features_of(file))
        except PluginError as error:
            raise PluginError(f"{key}: {error}") from None
