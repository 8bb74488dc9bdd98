"""Names that every system takes for what citizens call theirs."""

from __future__ import annotations

from collections.abc import Sequence

from pathvalidate import sanitize_filename

from gateway.model import Enclosure, Handover
from gateway_delivery.letter import line

_LONGEST = 120
_OCTETS = 200
"""A name may have 255 octets on most file systems; a number stands before it."""


def folder_of(handover: Handover) -> str:
    """Return the folder of a hand-over: readable, and its own for ever."""
    number = _harmless(handover.case.number) or "case"
    return f"{number}_{handover.delivery_id}"


def names_of(enclosures: Sequence[Enclosure]) -> list[str]:
    """Return a name for each file, numbered: two may be called the same."""
    return [
        f"{number}-{_harmless(each.name) or 'file'}"
        for number, each in enumerate(enclosures, start=1)
    ]


def _harmless(name: str) -> str:
    """Return a name without what is special on Linux, Windows or macOS."""
    clean = sanitize_filename(line(name), platform="universal").strip(" .")
    while len(clean) > _LONGEST or len(clean.encode()) > _OCTETS:
        # The end tells the type.
        middle = len(clean) // 2
        clean = clean[: middle - 1] + clean[middle + 1 :]
    return clean
