"""Words that only say thanks: no office has to answer them."""

from __future__ import annotations

import re
from typing import Final

from gateway.model import Message

_THANKS: Final = frozenset(
    {"grazie", "ringrazio", "ringraziamo", "thanks", "thank", "thankyou"}
)
_BESIDES: Final = frozenset(
    {
        *("a", "e", "di", "del", "della", "per", "il", "la", "lo", "vi", "voi", "lei"),
        *("ancora", "mille", "molte", "tante", "infinite", "davvero", "tutto", "tutti"),
        *("cuore", "aiuto", "risposta", "informazione", "disponibilità", "ok", "okay"),
        *("va", "bene", "perfetto", "ottimo", "gentile", "gentili", "gentilissimi"),
        *("buongiorno", "buonasera", "buona", "giornata", "serata", "saluti"),
        *("cordiali", "distinti", "and", "again", "all", "answer", "best", "day"),
        *("for", "good", "great", "have", "help", "kind", "many", "much", "nice"),
        *("perfect", "regards", "reply", "so", "the", "very", "you", "your"),
    }
)
_WORD = re.compile(r"\w+")
_LONGEST = 200


def is_thanks(message: Message) -> bool:
    """Tell whether a message says thanks, and nothing else.

    Rather too seldom than too often: who is told so is not waited for.
    """
    text = message.text
    if message.subject:
        text = text.removeprefix(f"{message.subject}\n")
    if message.attachments or message.location or len(text) > _LONGEST or "?" in text:
        return False
    words = set(_WORD.findall(text.casefold()))
    return bool(words & _THANKS) and words <= _THANKS | _BESIDES
