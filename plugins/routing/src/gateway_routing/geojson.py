"""Polygons of GeoJSON files (RFC 7946). Needs shapely."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shapely  # type: ignore[import-untyped]

from gateway.errors import PluginError

_POLYGONS = ("Polygon", "MultiPolygon")
_ALL = (*_POLYGONS, "Feature", "FeatureCollection")
_BROKEN = (ValueError, KeyError, TypeError, shapely.GEOSException)


def features_of(path: Path) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Yield each polygon of a file: where it stands, its properties, its area.

    A file is a FeatureCollection, a Feature, or a polygon by itself, which has no
    properties. What lies in a hole of a polygon is not in its area.

    Raises:
        PluginError: names file and feature, what was found and what is wanted.

    """
    document = _read(path)
    kind = document.get("type")
    features = [document] if kind == "Feature" else document.get("features")
    if kind in _POLYGONS:
        features = [{"properties": None, "geometry": document}]
    if not isinstance(features, list) or not features:
        found = f"type {kind!r} without features"
        text = f"{path}: found {found}; wanted one of {', '.join(_ALL)} with a polygon"
        raise PluginError(text)
    for number, feature in enumerate(features):
        where = f"{path}: features[{number}]" if "features" in document else f"{path}"
        try:
            properties = feature["properties"] or {}
            area = _area(feature["geometry"])
        except _BROKEN as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise PluginError(f"{where}: {reason}") from None
        yield where, properties, area


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PluginError(f"{path}: {error}; wanted a GeoJSON file") from None
    if not isinstance(document, dict):
        found = type(document).__name__
        raise PluginError(f"{path}: found a {found}; wanted a GeoJSON file: an object")
    return document


def _area(geometry: Mapping[str, Any]) -> Any:
    kind = geometry["type"] if geometry else "no geometry"
    if kind not in _POLYGONS:
        raise ValueError(f"found {kind}; wanted one of {', '.join(_POLYGONS)}")
    drawn = {"type": kind, "coordinates": geometry["coordinates"]}
    area = shapely.from_geojson(json.dumps(drawn))
    if area.is_empty:
        raise ValueError(f"found an empty {kind}; wanted coordinates")
    west, south, east, north = area.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):  # noqa: PLR2004
        raise ValueError(
            f"found coordinates {west:g} {south:g}; wanted WGS 84 degrees (RFC 7946 §4)"
        )
    # A border that crosses itself is mended rather than refused: cities draw them.
    return shapely.make_valid(area)
