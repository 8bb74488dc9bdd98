"""The words of a text, without case and accents, and where they stand."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is compared, and its place in the text as it was written."""

    text: str
    start: int
    end: int


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` without case and accents."""
    return tuple(_WORD.findall(plain(text)))


def plain(text: str) -> str:
    """Return ``text`` without case and accents; its length may be another."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text)
    return "".join(p for p in parts if not unicodedata.combining(p)).casefold()


def located_words(text: str) -> list[Word]:
    """Return the words of ``text`` in order, each with its place."""
    if text.isascii():
        return [Word(m[0].lower(), *m.span()) for m in _WORD.finditer(text)]
    letters = [plain(letter) for letter in text]
    # Where each letter that is left came from.
    origin = [at for at, left in enumerate(letters) for _ in left]
    found = _WORD.finditer("".join(letters))
    return [Word(m[0], origin[m.start()], origin[m.end() - 1] + 1) for m in found]
