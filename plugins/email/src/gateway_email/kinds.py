"""Whether a mail begins something, answers, or passes another mail on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

_PREFIX = re.compile(
    r"\s*(?:\[[^\]]{0,40}\]\s*)?([a-z]{1,8})\s*(?:\[\d+\])?\s*:", re.IGNORECASE
)
_ANSWERING = frozenset({"antw", "aw", "r", "re", "ref", "rif", "ris", "sv"})
_FORWARDING = frozenset({"f", "fw", "fwd", "i", "inoltra", "inoltro", "tr", "wg"})

_FORWARD_MARKS = (
    "begin forwarded message",
    "forwarded by",
    "forwarded message",
    "inizio del messaggio inoltrato",
    "inizio messaggio inoltrato",
    "inoltrato da",
    "messaggio inoltrato",
)
"""Apple Mail, Gmail, Thunderbird, Yahoo and webmail, Notes; Italian and English."""

_DECORATION = "-_=*· \t\u00a0"
_MARK_LENGTH = 300


class Kind(Enum):
    """How much of a mail's text is its writer's."""

    ORIGINAL = "original"
    """It answers nothing: what looks like history is what the writer quotes."""

    ANSWER = "answer"
    """History is left out."""

    FORWARD = "forward"
    """The mail passed on is the matter."""


def kind_of(subject: str, *, answers: bool) -> Kind:
    """Tell by the foremost prefix of the subject: "R: I: x" answers a forward.

    ``answers``: its header fields name an earlier mail.
    """
    found = _PREFIX.match(subject)
    prefix = found[1].lower() if found else ""
    if prefix in _FORWARDING:
        return Kind.FORWARD
    return Kind.ANSWER if answers or prefix in _ANSWERING else Kind.ORIGINAL


def forward_mark(lines: Sequence[str]) -> int | None:
    """Return the number of the first line that begins a forwarded mail, if any."""
    return next((at for at, line in enumerate(lines) if _is_mark(line)), None)


def _is_mark(line: str) -> bool:
    """Recognise ``---------- Forwarded message ---------``, not the words alone."""
    if len(line) > _MARK_LENGTH:
        return False
    bare = line.strip(_DECORATION)
    is_decorated = line[:1] in _DECORATION or bare.endswith(":")
    return is_decorated and bare.lower().startswith(_FORWARD_MARKS)
