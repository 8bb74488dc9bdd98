"""Bytes → text, also where the claimed charset lies or is unknown."""

from __future__ import annotations

import codecs

from charset_normalizer import from_bytes

_SAMPLE = 64 * 1024
_LIKELY = ["utf_8", "cp1252", "iso8859_15", "mac_roman", "cp850", "utf_16"]
"""What citizens' programs write; of all charsets the library guesses wrong ones."""

_LATIN = frozenset({"ascii", "iso8859-1"})
_NO_TEXT = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)


def decode(content: bytes, claimed: str) -> str:
    """Return the text in the claimed charset, or in the one it seems to be in."""
    for charset in (*_candidates(claimed), "utf-8"):
        try:
            return content.decode(charset)
        except (LookupError, ValueError):
            continue
    return content.decode(_guess(content), errors="replace")


def _candidates(claimed: str) -> tuple[str, ...]:
    try:
        name = codecs.lookup(claimed).name
    except (LookupError, ValueError):
        return ()
    if name in _NO_TEXT:
        return ()
    # Text that is valid UTF-8 with more than ASCII is no Latin-1 by accident; and who
    # claims Latin-1 means Windows-1252, as browsers know.
    if name in _LATIN or name.startswith("cp125"):
        return ("utf-8", "cp1252" if name in _LATIN else name, name)
    return (name,)


def _guess(content: bytes) -> str:
    best = from_bytes(content[:_SAMPLE], cp_isolation=_LIKELY).best()
    return "cp1252" if best is None else best.encoding
