"""Where a photo was taken, as its EXIF data say. Reading it needs Pillow.

Personal data: read only where the city has decided so. Most messengers remove it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import AttachmentError, PluginError
from gateway.model import Attachment, Location, Message
from gateway.plugin import Files
from gateway_routing.places import Places

LARGEST = 30 << 20
"""Bytes of a photo that is looked at."""

# Tags of Exif 2.32, 4.6.3 and 4.6.6.
_GPS_INFO = 0x8825
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4

_FORMATS = ("JPEG", "WEBP")
_STEPS = (1, 60, 3600)

MOST = 3
"""So many photos of a message are looked at."""


class Photos:
    """Finds where the photos of messages were taken."""

    def __init__(self) -> None:
        """Load what reads them.

        Raises:
            PluginError: it is not installed.

        """
        try:
            from PIL import Image  # noqa: PLC0415 (only where it is wanted)
        except ImportError as error:
            raise PluginError(
                f"{error}: pip install 'municipal-gateway-routing[places]'"
            ) from None
        # Formats that are named must be registered; Pillow does so only later.
        Image.init()
        self._open = partial(Image.open, formats=_FORMATS)

    async def located(
        self, files: Files, message: Message, places: Places
    ) -> Location | None:
        """Return where the first photo that says it was taken."""
        photos = [a for a in message.attachments if a.media_type.startswith("image/")]
        for photo in photos[:MOST]:
            point = await self._position(files, message, photo)
            if point is not None:
                return places.taken_at(point)
        return None

    async def _position(
        self, files: Files, message: Message, photo: Attachment
    ) -> tuple[float, float] | None:
        try:
            path = files.path(await files.fetch(message, photo))
        except AttachmentError:
            # It may still come; the hand-over has it then, without a place.
            return None
        return await asyncio.to_thread(self.position, path)

    def position(self, path: Path) -> tuple[float, float] | None:
        """Return latitude and longitude (WGS 84 degrees) of a photo, if it says any.

        Only the head of the file is read; whatever is wrong with it, it says none.
        """
        try:
            if path.stat().st_size > LARGEST:
                return None
            with self._open(path) as image:
                return _point(image.getexif().get_ifd(_GPS_INFO))
        except Exception:  # noqa: BLE001 (a stranger's file: Pillow raises what it likes)
            return None


def _point(gps: dict[int, Any]) -> tuple[float, float] | None:
    latitude = _degrees(gps[_LATITUDE], gps[_LATITUDE_REF], "N", "S")
    longitude = _degrees(gps[_LONGITUDE], gps[_LONGITUDE_REF], "E", "W")
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # noqa: PLR2004
        return None
    # Cameras without a fix write zeros, into the sea off Africa.
    return (latitude, longitude) if latitude or longitude else None


def _degrees(parts: Sequence[Any], side: str, plus: str, minus: str) -> float:
    """Return degrees, minutes and seconds as degrees (Exif 2.32, 4.6.6)."""
    sign = {plus: 1, minus: -1}[side.strip("\x00 ").upper()]
    values = [Fraction(part) / step for part, step in zip(parts, _STEPS, strict=True)]
    return round(float(sign * sum(values)), 6)
