"""What is a signature, and what somebody says where a signature would be."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CLOSINGS = ("cordiali saluti", "best regards", "kind regards", "regards", "thank")
_CLOSING_LINES = 6
_CLOSING_CHARACTERS = 60
_CLOSING_SAYS_MORE = re.compile(r"(?i)p\.? ?s\b|.*(\d[ ./-]?){6}|.*[?!]")

_LINES = 12
_CHARACTERS = 120
_SAYS_MORE = re.compile(r"(?i)p\.? ?s\b|.*[?]|--$")

_TRAILER = re.compile(
    r"(?:\[?(?:Inviato|Sent|Get|Ottieni|Scarica|Download)\b).{0,60}"
    r"\b(?:android|cellulare|dispositivo|e-?mail|galaxy|huawei|ios|ipad|iphone|mail|"
    r"mobile|outlook|phone|posta|samsung|smartphone|tablet|telefono|windows|xiaomi|"
    r"yahoo)\b",
    re.IGNORECASE,
)
_TRAILER_CHARACTERS = 160
_RULE = re.compile(r"[-_=*\u2013\u2014 ]{2,}$")
_ORIGINAL = re.compile(
    r"-{2,} ?(?:messaggio originale|original message) ?-{2,}$", re.IGNORECASE
)


def is_signature(cut: str) -> bool:
    """Tell a signature from what somebody says below "Cordiali saluti" or "--".

    After a closing only a few short lines without a number; after a mark some more. A
    postscript or a telephone number is worth more than a tidy text.
    """
    lines = [line for line in cut.splitlines() if line.strip()]
    if cut.lower().startswith(_CLOSINGS):
        return len(lines) <= _CLOSING_LINES and not any(
            len(line) > _CLOSING_CHARACTERS or _CLOSING_SAYS_MORE.match(line)
            for line in lines
        )
    return len(lines) <= _LINES and not any(
        len(line) > _CHARACTERS or _SAYS_MORE.match(line) for line in lines[1:]
    )


def drop_trailers(lines: Sequence[str]) -> list[str]:
    """Drop from the end what a program has put there: rules, "Inviato da iPhone"."""
    kept = list(lines)
    while kept and (not kept[-1].strip() or _is_trailer(kept[-1].strip())):
        kept.pop()
    return kept


def is_original_mark(line: str) -> bool:
    """Recognise ``-----Messaggio originale-----``."""
    return len(line) < _TRAILER_CHARACTERS and bool(_ORIGINAL.match(line))


def _is_trailer(line: str) -> bool:
    if len(line) > _TRAILER_CHARACTERS:
        return False
    return bool(_RULE.match(line) or _ORIGINAL.match(line) or _TRAILER.match(line))
