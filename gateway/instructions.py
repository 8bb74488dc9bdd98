"""What an office wants done with its case, in the first line of its answer.

``chiuso`` closes the case, ``inoltrato a <office>`` gives it to another one. The line
must say nothing else; what follows it is for the citizen, or for the other office. So
people write; a service's own system says what it wants in fields of their own, and its
words may be anybody's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import Message, Order, ServiceId
from gateway.targets import SERVICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """An order, the ``office`` it names (as written), and what else was said."""

    order: Order
    office: str = ""
    rest: str = ""


_ENDED = r"\s*[.!]?"
_CLOSE = re.compile(
    r"((pratica|segnalazione|richiesta|caso|case)\s+)?(chius[oa]|closed)" + _ENDED,
    re.IGNORECASE,
)
_HAND_ON = re.compile(
    r"(inoltrat[oa]\s+(?:(?:ad?|al|allo|alla|ai|agli|alle)[\s:]|all\W)|forwarded\s+to\s)"
    r"\s*:?\s*(?P<office>\S.{0,80}?)" + _ENDED,
    re.IGNORECASE,
)
_FORM = re.compile(r"^(ufficio|servizio|settore|office)\s+")


def of(message: Message) -> Instruction | None:
    """Return what an office wants done, as it says so; None if it only answers."""
    if message.sender.scheme != SERVICE:
        return read(message.text)
    if message.order is None:
        return None
    return Instruction(order=message.order, office=message.office, rest=message.text)


def read(text: str) -> Instruction | None:
    """Return the instruction that ``text`` begins with, if it does."""
    first, _, rest = text.strip().partition("\n")
    first = " ".join(first.split())
    if _CLOSE.fullmatch(first):
        return Instruction(order=Order.CLOSE, rest=rest.strip())
    found = _HAND_ON.fullmatch(first)
    if found is None:
        return None
    return Instruction(order=Order.HAND_ON, office=found["office"], rest=rest.strip())


def find_office(name: str, services: Mapping[ServiceId, str]) -> ServiceId | None:
    """Return the one service of that id or name, small differences left aside."""
    wanted = _plain(name)
    found = {
        service
        for service, title in services.items()
        if wanted in (_plain(service), _plain(title))
    }
    return found.pop() if len(found) == 1 else None


def _plain(name: str) -> str:
    """Return a name in small letters without accents, signs and its first word."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    words = "".join(
        each if each.isalnum() else " "
        for each in letters
        if not unicodedata.combining(each)
    )
    return _FORM.sub("", " ".join(words.split()))
