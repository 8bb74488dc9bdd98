"""Addresses in a text that no list knows: what a geocoder may be asked for.

Only what looks like one, and nothing around it: a kind of street, its name, a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway_routing.streets import (
    LONGEST,
    NUMBER_WITHIN,
    SMALL,
    house_number,
    kind_of,
    street_words,
)
from gateway_routing.words import Word

_SURE = frozenset(
    [
        *("via", "viale", "piazza", "piazzale", "piazzetta", "corso", "largo"),
        *("vicolo", "lungomare", "lungarno", "lungotevere"),
    ]
)
"""Kinds that are seldom anything else; a *parco* or a *campo* often is."""

# fmt: off
_ENDS = frozenset([
    "davanti", "vicino", "vicina", "presso", "accanto", "dietro", "sotto", "sopra",
    "dopo", "prima", "fronte", "angolo", "altezza", "incrocio", "verso", "fino", "tra",
    "fra", "con", "per", "che", "chi", "dove", "quando", "perche", "come", "c", "ce",
    "e", "ed", "non", "si", "mi", "ci", "ha", "ho", "hanno", "sono", "era", "sta",
    "stanno", "un", "uno", "una", "molto", "ieri", "oggi", "stamattina", "stasera",
    "ora", "adesso", "mesi", "giorni", "mio", "mia", "nostro", "nostra", "qui", "lato",
    "civico", "numero", "n", "al", "all", "alla", "sul", "ma", "o", "su", "in", "da",
])
# fmt: on
_MOST_WORDS = 5
_FEWEST_LETTERS = 3
_LONGEST_SHORT = 3
_BETWEEN = re.compile(r"[ \t'\u2019.-]{1,3}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address as a citizen wrote it."""

    street: str
    number: str = ""

    @property
    def words(self) -> frozenset[str]:
        """Return the words by which the street is known, without its kind."""
        names = [word.text for word in street_words(self.street)][1:]
        return frozenset(names) - SMALL


def wanted_in(text: str) -> Wanted | None:
    """Return the first address in ``text``, rather one with a house number."""
    text = text[:LONGEST]
    found = list(_addresses(text, street_words(text)))
    return next((each for each in found if each.number), next(iter(found), None))


def _addresses(text: str, words: Sequence[Word]) -> Iterator[Wanted]:
    for place in range(len(words)):
        kind, length = kind_of([word.text for word in words[place : place + 3]])
        if kind not in _SURE:
            continue
        name = _name(text, words[place + length - 1 :])
        if not name:
            continue
        said = text[name[0].start : name[-1].end]
        rest = text[name[-1].end : name[-1].end + NUMBER_WITHIN]
        number = house_number(rest)
        before = words[place - 1].text if place else ""
        if number or before == "in" or _is_capital(text, name):
            yield Wanted(f"{kind} {' '.join(said.split())}", number)


def _name(text: str, words: Sequence[Word]) -> Sequence[Word]:
    """Return the words of a name that follow the first of ``words``."""
    name: list[Word] = []
    for before, word in pairwise(words):
        capital = name and _is_capital(text, name)
        if (
            word.text in _ENDS
            or not _goes_on(before, text[before.end : word.start])
            or (name and word.text.isdigit())
            or (capital and word.text not in SMALL and not _is_capital(text, [word]))
        ):
            break
        name.append(word)
        if len([each for each in name if each.text not in SMALL]) == _MOST_WORDS:
            break
    while name and name[-1].text in SMALL:
        name.pop()
    longest = max((len(word.text) for word in name), default=0)
    return name if longest >= _FEWEST_LETTERS else ()


def _goes_on(before: Word, gap: str) -> bool:
    """Tell whether a name may go on after ``gap``: a full stop is an abbreviation's."""
    if "." in gap and (before.text == "via" or len(before.text) > _LONGEST_SHORT):
        return False
    return bool(_BETWEEN.fullmatch(gap))


def _is_capital(text: str, words: Sequence[Word]) -> bool:
    """Tell whether the words that count begin with a capital letter."""
    counts = [word for word in words if word.text not in SMALL]
    return bool(counts) and all(text[word.start].isupper() for word in counts)
