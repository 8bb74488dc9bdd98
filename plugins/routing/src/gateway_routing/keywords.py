"""The keywords of all rules, looked up word by word: as fast with 1,000 as with one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway_routing.config import Rule
from gateway_routing.words import Word, words_of


class Keywords:
    """Which rules a word speaks for."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Index the words of ``rules``."""
        self._whole: dict[str, set[int]] = {}
        self._prefixes: dict[str, set[int]] = {}
        for number, rule in enumerate(rules):
            for word in rule.words:
                table = self._prefixes if word.endswith("*") else self._whole
                table.setdefault("".join(words_of(word)), set()).add(number)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})

    def found(self, words: Sequence[Word]) -> dict[int, list[Word]]:
        """Return, for each rule by number, the different words that it has."""
        hits: dict[int, list[Word]] = {}
        first = {word.text: word for word in reversed(words)}
        for text in dict.fromkeys(word.text for word in words):
            for rule in set(self._rules_for(text)):
                hits.setdefault(rule, []).append(first[text])
        return hits

    def _rules_for(self, word: str) -> Iterator[int]:
        yield from self._whole.get(word, ())
        for length in self._lengths:
            if length > len(word):
                return
            yield from self._prefixes.get(word[:length], ())
