"""Finds whole words and phrases, whatever their case and accents.

Each word of a text is looked up in a table, so the time grows with the text and not
with the number of words on the lists.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator

from gateway.model import Span

# A word is letters and digits, with combining accents; "_" is WhatsApp's italics.
_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")

# What may stand between the words of a phrase; Italian joins words by apostrophes.
_GAP = re.compile("[\\s'\u2019]+")


def fold(word: str) -> str:
    """Return ``word`` without case and accents."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFKD", word)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    return plain.casefold()


class WordIndex:
    """Words and phrases to look for."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Index ``entries``; those without a letter or digit are left out."""
        phrases = {tuple(map(fold, _WORD.findall(entry))) for entry in entries}
        phrases.discard(())
        self._count = len(phrases)
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        # The longest first, so that a phrase wins over its own first word.
        for phrase in sorted(phrases, key=len, reverse=True):
            self._by_first.setdefault(phrase[0], []).append(phrase)

    def __len__(self) -> int:
        """Return how many different words and phrases there are."""
        return self._count

    def find(self, text: str) -> tuple[Span, ...]:
        """Return where entries stand in ``text``, in order, without overlap."""
        return tuple(self._matches(text))

    def _matches(self, text: str) -> Iterator[Span]:
        words = list(_WORD.finditer(text))
        folded = [fold(word.group()) for word in words]
        place = 0
        for first, word in enumerate(folded):
            # Most words are on no list; those inside the last match are done.
            if first < place or word not in self._by_first:
                continue
            length = self._match_at(text, words, folded, first)
            if length:
                last = words[first + length - 1]
                yield Span(start=words[first].start(), end=last.end())
                place = first + length

    def _match_at(
        self, text: str, words: list[re.Match[str]], folded: list[str], place: int
    ) -> int:
        """Return how many words the longest entry at ``place`` has; 0 if none."""
        for phrase in self._by_first[folded[place]]:
            end = place + len(phrase)
            if tuple(folded[place:end]) != phrase:
                continue
            inside = words[place:end]
            gaps = (
                text[before.end() : after.start()]
                for before, after in itertools.pairwise(inside)
            )
            if all(_GAP.fullmatch(gap) for gap in gaps):
                return len(phrase)
        return 0
