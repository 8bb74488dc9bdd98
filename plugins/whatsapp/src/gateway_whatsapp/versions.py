"""The Graph API's versions, and until when Meta serves them. Pure.

Source: Meta, *Graph API changelog: versions* (developers.facebook.com/docs/graph-api/
changelog/versions) as of September 2026, and *Platform versioning*: a version lives two
years at least; a request for one that has ended is served by the oldest that lives. The
Cloud API is part of the Graph API, and goes by its versions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

ENDS: Final[Mapping[int, date]] = {
    17: date(2025, 9, 12),
    18: date(2026, 1, 26),
    19: date(2026, 5, 21),
    20: date(2026, 9, 24),
    21: date(2027, 1, 21),
    22: date(2027, 5, 20),
    23: date(2027, 10, 8),
    24: date(2028, 2, 18),
    25: date(2028, 7, 29),
    # Not announced: two years after its release, on 29 July 2026, at the earliest.
    26: date(2028, 7, 29),
}
"""Version → its last day; older ones have ended, newer ones are yet unknown."""

NEWEST: Final = "v26.0"
WARNING: Final = timedelta(days=60)

_VERSION = re.compile(r"v([0-9]{1,3})\.[0-9]")


def is_version(text: str) -> bool:
    """Tell whether ``text`` looks like ``v25.0``."""
    return _VERSION.fullmatch(text) is not None


def advice(asked: str, served: str, today: date) -> str:
    """Say what to set before a version ends, or after; "" while all is well.

    ``served`` is what Meta said it served, "" if it did not say.
    """
    if is_version(served) and served != asked:
        return (
            f"Meta serves {served} of its API instead of {asked}, which has ended:"
            f" set the version in base_url to {NEWEST}"
        )
    end = _end(asked)
    if end is None or today < end - WARNING:
        return ""
    verb = "ends" if today <= end else "ended"
    return (
        f"version {asked} of Meta's API {verb} on {end}:"
        f" set the version in base_url to {NEWEST}"
    )


def _end(version: str) -> date | None:
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    number = int(match[1])
    return ENDS[min(ENDS)] if number < min(ENDS) else ENDS.get(number)
