"""What a citizen wants of the gateway itself, in so many words.

``stato`` and ``stato URP-2026-000123`` ask how things stand, if nothing else is said;
``nuova segnalazione`` in the first line begins something new, and the report may follow
in the same message; ``rispondetemi anche via e-mail`` and ``risposte via e-mail no``
say where else answers may go. Whatever says more is for an office.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from gateway.model import Message


class Wish(Enum):
    """What is wanted."""

    STATUS = "status"
    ANEW = "anew"
    AGREE = "agree"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A wish; ``name`` is the case or the way as written, "" if none is named.

    ``alone``: the message says nothing else.
    """

    wish: Wish
    name: str = ""
    alone: bool = True


_MATTER = r"(?:\s+(?:(?:della|di)\s+)?(?:mia\s+)?(?:pratica|segnalazione|richiesta))?"
_STATUS = re.compile(
    rf"(?:stato{_MATTER}|status(?:\s+of(?:\s+my)?)?(?:\s+(?:report|case))?)"
    r"(?:\s*:|\s+n\.)?(?:\s+(?P<name>\S.{0,79}?))?\s*[.!?]*",
    re.IGNORECASE,
)
_ANEW = re.compile(
    r"(?:nuov[ao](?:\s+(?:segnalazione|richiesta|pratica))?"
    r"|new(?:\s+(?:report|request|case))?)\s*[.:!]*",
    re.IGNORECASE,
)
_WAY = r"(?P<name>\w[\w -]{0,38}?)"
_BY = rf"(?:\s+(?:anche|pure|also))?\s+(?:per|via|su|tramite|by|on)\s+{_WAY}"
_ANSWER_ME = (
    r"(?:(?:mi\s+)?rispond(?:etemi|imi|a)"
    r"|(?:please\s+)?(?:answer|(?:reply|write)\s+to)\s+me)"
)
_AGREE = re.compile(
    rf"(?:{_ANSWER_ME}{_BY}(?:\s+(?:too|as\s+well))?"
    rf"|(?:risposte|answers){_BY.replace('name', 'other')}\s*[:,]?\s+(?:s[iì]|yes))"
    r"\s*[.!]*",
    re.IGNORECASE,
)
_WITHDRAW = re.compile(
    rf"(?:(?:non|don['\u2019]?t|do\s+not)\s+{_ANSWER_ME}(?:\s+più|\s+any\s*more)?"
    rf"{_BY}(?:\s+any\s*more)?"
    rf"|(?:risposte|answers){_BY.replace('name', 'other')}\s*[:,]?\s+no)\s*[.!]*",
    re.IGNORECASE,
)
_LONGEST = 200
_FOOT = re.compile(
    # RFC 3676 §4.3, and what telephones put below by themselves
    r"^(?:-- ?$|(?:inviato|sent|scarica|get)\s+(?:da|dal|from|outlook)\b).*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)


def read(message: Message) -> Asked | None:
    """Return what a message wants of us, if it does."""
    brings = bool(message.attachments or message.location)
    for text in _readings(message):
        first, _, rest = text.partition("\n")
        if _ANEW.fullmatch(" ".join(first.split())):
            alone = not (brings or _said(rest))
            return Asked(wish=Wish.ANEW, alone=alone)
        asks = not brings and text[:4].casefold() == "stat"
        found = _STATUS.fullmatch(_said(text)) if asks else None
        if found is not None:
            return Asked(wish=Wish.STATUS, name=found["name"] or "")
        said = None if brings else _way(_said(text))
        if said is not None:
            return said
    return None


def _way(said: str) -> Asked | None:
    """Return what is said of where answers may go."""
    for wish, pattern in ((Wish.WITHDRAW, _WITHDRAW), (Wish.AGREE, _AGREE)):
        if found := pattern.fullmatch(said):
            return Asked(wish=wish, name=(found["name"] or found["other"]).strip())
    return None


def _readings(message: Message) -> Iterator[str]:
    """Return the text as it is, and below what headed it."""
    text = message.text.strip()
    yield text
    if message.subject and text.startswith(f"{message.subject}\n"):
        yield text.removeprefix(message.subject).strip()


def _said(text: str) -> str:
    """Return a short text on one line, without what programs put below it."""
    said = " ".join(_FOOT.sub("", text).split())
    return said if len(said) <= _LONGEST else "…"
