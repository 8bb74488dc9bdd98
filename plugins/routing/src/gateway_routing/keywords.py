"""Scores services by the words of a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.model import Assignment, ServiceId
from gateway_routing.config import Rule

_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` without case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    return tuple(_WORD.findall(plain))


@dataclass(frozen=True, slots=True)
class _Keyword:
    """One keyword of one rule."""

    rule: int
    position: int


class Keywords:
    """The keywords of all rules, looked up word by word."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._services = [ServiceId(rule.service) for rule in rules]
        self._whole: dict[str, list[_Keyword]] = {}
        self._prefixes: dict[str, list[_Keyword]] = {}
        for number, rule in enumerate(rules):
            for position, word in enumerate(rule.words):
                table = self._prefixes if word.endswith("*") else self._whole
                key = "".join(words_of(word))
                table.setdefault(key, []).append(_Keyword(number, position))
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})

    def assign(self, text: str) -> Assignment | None:
        """Return the service that the words of ``text`` speak for, if any does.

        Confidence is ``hits / (hits of all rules + 1)``: a single word found is weak
        evidence (0.5), more words strengthen it, words of other services weaken it.
        """
        hits = self._hits(text)
        if not hits:
            return None
        winner = max(hits, key=lambda rule: (len(hits[rule]), -rule))
        total = sum(len(found) for found in hits.values())
        return Assignment(
            service=self._services[winner],
            reason=f"parole: {', '.join(hits[winner].values())}",
            source="routing",
            confidence=len(hits[winner]) / (total + 1),
        )

    def _hits(self, text: str) -> dict[int, dict[int, str]]:
        """Return, for each rule, its keywords found, and as which word first."""
        hits: dict[int, dict[int, str]] = {}
        for word in dict.fromkeys(words_of(text)):
            for keyword in self._keywords_for(word):
                hits.setdefault(keyword.rule, {}).setdefault(keyword.position, word)
        return hits

    def _keywords_for(self, word: str) -> Iterator[_Keyword]:
        yield from self._whole.get(word, ())
        for length in self._lengths:
            if length > len(word):
                return
            yield from self._prefixes.get(word[:length], ())
