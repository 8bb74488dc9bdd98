"""The pieces of words that the model knows: hashed, so that it keeps no text."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from gateway_routing.words import Word

SIZES = (3, 4, 5)
"""Bytes in a piece, the blank before and after a word among them."""

LONGEST = 2000
"""So many characters of a text are looked at: the matter stands at its beginning."""


def grams_of(word: str) -> Iterator[int]:
    """Yield the hashes of a word's pieces: of ``buca`` `` bu``, ``buc`` … `` buca``.

    A word shorter than a piece is one piece, whole.
    """
    # Bytes, not letters: the same for the letters of Italian, and twice as fast.
    padded = f" {word} ".encode()
    for size in SIZES:
        if len(padded) <= size:
            yield crc32(padded)
            return
        for start in range(len(padded) - size + 1):
            yield crc32(padded[start : start + size])


def pieces_of(words: list[Word]) -> tuple[list[int], list[int]]:
    """Return the pieces of all words, and for each the number of its word."""
    pieces: list[int] = []
    owners: list[int] = []
    for number, word in enumerate(words):
        found = list(grams_of(word.text))
        pieces += found
        owners += [number] * len(found)
    return pieces, owners
