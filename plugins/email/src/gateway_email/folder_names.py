"""When two names are of one folder."""

from __future__ import annotations


def folded(name: str) -> str:
    """Return INBOX in whatever case (RFC 3501 §5.1), other names as they are."""
    return "INBOX" if name.upper() == "INBOX" else name
