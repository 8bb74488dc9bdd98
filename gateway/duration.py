"""How long a recording lasts, read from its content, which may be hostile."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Final

from tinytag import TinyTag, TinyTagException

MOST_SECONDS: Final = 7 * 24 * 3600.0
"""What claims to last longer lies: a file has its own upper limit."""

_KINDS: Final = ("audio/", "video/")
_BITE: Final = 64 * 1024
_MOST_READ: Final = 4 * 2**20
_MOST_CALLS: Final = 200_000
_PATIENCE: Final = 2.0


def seconds_of(file: Path, media_type: str) -> float | None:
    """Return how long a recording lasts; None if it is none, or does not tell.

    Reads little of the file, for a limited time: call it in a thread.
    """
    if not media_type.startswith(_KINDS):
        return None
    try:
        with _Guarded(file) as content:
            found = TinyTag.get(file_obj=content, tags=False).duration
    except (TinyTagException, OSError):
        return None
    return _plausible(found)


def _plausible(found: float | None) -> float | None:
    """Return a length that can be; a film in fragments, for one, says 0."""
    if found is None or not math.isfinite(found):
        return None
    rounded = round(found, 3)
    return rounded if 0 < rounded <= MOST_SECONDS else None


class _Guarded(io.BufferedReader):
    """A file that ends its reader's work once it has read too much or for too long."""

    def __init__(self, file: Path) -> None:
        super().__init__(io.FileIO(file))
        self._read = 0
        self._calls = 0
        self._end = time.monotonic() + _PATIENCE

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, within the limits."""
        if size is None or not 0 <= size <= _BITE:
            raise OSError("a piece too large")
        self._read += size
        self._calls += 1
        if self._read > _MOST_READ or self._calls > _MOST_CALLS:
            raise OSError("too much to read")
        if time.monotonic() > self._end:
            raise OSError("read for too long")
        return super().read(size)
