"""What a server's words hold: a status code (RFC 3463), and addresses."""

from __future__ import annotations

import re

_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")
_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}")


def enhanced_code(text: str) -> str | None:
    """Return the first status code of RFC 3463 in ``text``."""
    match = _ENHANCED.search(text)
    return match[1] if match else None


def without_addresses(text: str) -> str:
    """Return ``text`` with its addresses made unreadable: they are on record."""
    return _ADDRESS.sub("…", text)
