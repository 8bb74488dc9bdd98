"""Streets of the city, found in a text as people write them: "p.zza Garibaldi 3".

A street is found by its kind (via, piazza …) and its name. Case, accents, small words
and abbreviations don't matter; a first name may be left out or be a single letter, if
only one street is then meant; one letter may be wrong in a long name. What could be two
streets is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from rapidfuzz import process
from rapidfuzz.distance import OSA

from gateway_routing.words import Word, located_words

LONGEST = 2000
"""So many characters of a text are looked at."""

_KINDS = {
    "via": ["via", "v"],
    "viale": ["viale", "v le", "vle"],
    "piazza": ["piazza", "p zza", "pzza", "p za", "pza", "piaza", "pz"],
    "piazzale": ["piazzale", "p le", "ple", "p zzale", "p zle", "pzle"],
    "piazzetta": ["piazzetta", "p tta", "ptta"],
    "corso": ["corso", "c so", "cso"],
    "largo": ["largo", "l go", "lgo"],
    "vicolo": ["vicolo", "vico", "vic", "v lo", "vlo"],
    "strada": ["strada", "str"],
    "salita": ["salita", "sal"],
    "scalinata": ["scalinata", "scala", "scale"],
    "lungomare": ["lungomare"],
    "lungarno": ["lungarno"],
    "lungotevere": ["lungotevere"],
    "traversa": ["traversa", "trav"],
    "contrada": ["contrada", "c da", "cda"],
    "localita": ["localita", "loc"],
    "borgo": ["borgo"],
    "calle": ["calle"],
    "campo": ["campo"],
    "fondamenta": ["fondamenta"],
    "galleria": ["galleria"],
    "molo": ["molo"],
    "parco": ["parco"],
    "rione": ["rione"],
}
SMALL = frozenset(
    [
        *("di", "del", "dello", "della", "dei", "degli", "delle", "d", "dell", "da"),
        *("il", "lo", "la", "i", "gli", "le", "l", "e", "ed", "a", "al", "alla", "sul"),
    ]
)
_SAINTS = ("san", "santa", "santo", "sant", "ss", "santi")
# fmt: off
_SAME = {
    **dict.fromkeys(_SAINTS, "s"),
    "fratelli": "flli", "dottor": "dott", "generale": "gen", "cavaliere": "cav",
    "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8",
    "ix": "9", "xi": "11", "xii": "12", "xx": "20", "xxi": "21", "xxii": "22",
    "xxiv": "24", "xxv": "25", "xxviii": "28", "xxix": "29",
}
# fmt: on
_NUMBER = re.compile(
    r"[\s,]*(?:al\s+)?(?:n(?:um(?:ero)?|[.°º]|\b)|civ(?:ico|\b)|\bal\b)?[\s.:°]*"
    r"(\d{1,4})(?:\s?[/-]?\s?(bis|ter|[a-z])\b)?(?![\d:.]*\d)(?!\s*(?:euro|€|anni|giorni"
    r"|mesi|ore|volte|metri|m\b|cm\b|km\b|settiman|person|auto|macchin))",
    re.IGNORECASE,
)
_LONG_NAME = 8
_MOST_WORDS = 8
# Each costs a search through all names of its kind.
_MOST_MISSPELT = 3
NUMBER_WITHIN = 40
_FIRST_AND_LAST = 2

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Street:
    """A street, or a house of it: its name, and what the city's list says of it."""

    name: str
    district: str = ""
    point: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A street in a text, and where it stands there."""

    street: Street
    number: str
    start: int
    end: int

    @property
    def address(self) -> str:
        """Return the street with its house number."""
        return f"{self.street.name} {self.number}".rstrip()


@dataclass(slots=True)
class _Kind:
    """The names of the streets of one kind; None where one could be several."""

    names: dict[Key, Street | None] = field(default_factory=dict)
    aliases: dict[Key, Street | None] = field(default_factory=dict)
    written: dict[str, Street] = field(default_factory=dict)

    def add(self, key: Key, street: Street) -> None:
        """Know ``street`` by its name, and by what people make of it."""
        self.names.setdefault(key, street)
        self.written.setdefault(" ".join(key), street)
        for alias in _aliases(key):
            known = self.aliases.get(alias, street)
            same = known is not None and known.name == street.name
            self.aliases[alias] = street if same else None

    def get(self, key: Key) -> Street | None:
        """Return the street of a name or, if there is none, what else it can be."""
        return self.names.get(key) or self.aliases.get(key)

    def misspelt(self, key: Key) -> Street | None:
        """Return the only street whose long name differs by one letter."""
        written = " ".join(key)
        if len(written) < _LONG_NAME or key in self.aliases:
            return None
        names = self.written.keys()
        near = process.extract(
            written, names, scorer=OSA.distance, score_cutoff=1, limit=2
        )
        return self.written[near[0][0]] if len(near) == 1 else None


class Streets:
    """All streets of a city."""

    def __init__(
        self,
        streets: Iterable[Street],
        houses: Mapping[tuple[str, str], Street] | None = None,
    ) -> None:
        """Index ``streets``; ``houses`` by the street's name and the number."""
        self._houses = houses or {}
        self._kinds: dict[str, _Kind] = {}
        for street in streets:
            words = [word.text for word in street_words(street.name)]
            kind, length = kind_of(words)
            if kind:
                key = _key(words[length:])
                self._kinds.setdefault(kind, _Kind()).add(key, street)

    def find(self, text: str) -> Mention | None:
        """Return the first street in ``text``, rather one with a house number.

        Only if no name is written rightly, the first few are taken for misspelt.
        """
        text = text[:LONGEST]
        words = street_words(text)
        starts = list(self._starts(words))
        found = list(self._mentions(text, words, starts, _Kind.get))
        if not found:
            few = starts[:_MOST_MISSPELT]
            found = list(self._mentions(text, words, few, _Kind.misspelt))
        return next((each for each in found if each.number), next(iter(found), None))

    def _starts(self, words: Sequence[Word]) -> Iterator[_Start]:
        """Yield where the name of a street may begin."""
        for place in range(len(words)):
            ahead = words[place : place + _MOST_WORDS]
            kind, length = kind_of([word.text for word in ahead])
            if kind in self._kinds:
                yield _Start(self._kinds[kind], place, place + length)

    def _mentions(
        self,
        text: str,
        words: Sequence[Word],
        starts: Iterable[_Start],
        find: Callable[[_Kind, Key], Street | None],
    ) -> Iterator[Mention]:
        for start in starts:
            ahead = words[start.name : start.kind_at + _MOST_WORDS]
            longest = _longest(partial(find, start.kind), ahead)
            if longest is None:
                continue
            street, last = longest
            number = house_number(text[last.end : last.end + NUMBER_WITHIN])
            house = self._houses.get((street.name, number.casefold()), street)
            yield Mention(house, number, words[start.kind_at].start, last.end)


@dataclass(frozen=True, slots=True)
class _Start:
    """A word that says a kind of street: which, where, and where its name begins."""

    kind: _Kind
    kind_at: int
    name: int


def _longest(
    find: Callable[[Key], Street | None], words: Sequence[Word]
) -> tuple[Street, Word] | None:
    """Return the street with the longest name that ``words`` begin with."""
    for length in range(len(words), 0, -1):
        last = words[length - 1]
        if last.text in SMALL:
            continue
        street = find(_key([word.text for word in words[:length]]))
        if street is not None:
            return street, last
    return None


def kind_of(words: Sequence[str]) -> tuple[str, int]:
    """Return which kind of street ``words`` begin with, and in how many words."""
    for length in (2, 1):
        kind = _KIND_OF.get(" ".join(words[:length]).replace(".", ""))
        if kind and len(words) > length:
            return kind, length
    return "", 0


_KIND_OF = {form: kind for kind, forms in _KINDS.items() for form in forms}


def _key(words: Iterable[str]) -> Key:
    """Return what of a name counts."""
    plain = (word.removesuffix(".") for word in words if word not in SMALL)
    return tuple(_SAME.get(word, word) for word in plain)


def street_words(text: str) -> list[Word]:
    """Return the words of ``text``; a letter with a full stop keeps it: an initial."""
    return [
        Word(f"{word.text}.", word.start, word.end)
        if len(word.text) == 1 and text[word.end : word.end + 1] == "."
        else word
        for word in located_words(text)
    ]


def _aliases(key: Key) -> set[Key]:
    """Return how else people write a name: without first names, or their letter."""
    if len(key) < _FIRST_AND_LAST or key[0] == "s":
        return set()
    if key[-1].isdigit():
        # Of kings and popes, not of dates.
        return {key[:-1]} if not key[0].isdigit() else set()
    initials = tuple(word[0] for word in key[:-1])
    return {key[-1:], (*initials, key[-1])} - {key}


def house_number(rest: str) -> str:
    """Return the house number that a text begins with, e.g. ``12/b``."""
    found = _NUMBER.match(rest)
    if found is None:
        return ""
    number, letter = found[1], found[2]
    return f"{number}/{letter.lower()}" if letter else number
