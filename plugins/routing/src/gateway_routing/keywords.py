"""Scores services by the words of a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from gateway.model import Assignment
from gateway_routing.config import Rule

_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` without case and accents."""
    parts = unicodedata.normalize("NFKD", text)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    return tuple(_WORD.findall(plain.casefold()))


class Keywords:
    """The keywords of all rules, looked up word by word."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._services = [rule.service for rule in rules]
        self._whole: dict[str, set[int]] = {}
        self._prefixes: dict[str, set[int]] = {}
        for number, rule in enumerate(rules):
            for word in rule.words:
                table = self._prefixes if word.endswith("*") else self._whole
                table.setdefault("".join(words_of(word)), set()).add(number)
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
            reason=f"parole: {', '.join(hits[winner])}",
            source="routing",
            confidence=len(hits[winner]) / (total + 1),
        )

    def _hits(self, text: str) -> dict[int, list[str]]:
        """Return, for each rule, the different words of ``text`` that it has."""
        hits: dict[int, list[str]] = {}
        for word in dict.fromkeys(words_of(text)):
            for rule in set(self._rules_for(word)):
                hits.setdefault(rule, []).append(word)
        return hits

    def _rules_for(self, word: str) -> Iterator[int]:
        yield from self._whole.get(word, ())
        for length in self._lengths:
            if length > len(word):
                return
            yield from self._prefixes.get(word[:length], ())
