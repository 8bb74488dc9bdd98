"""The rules of the city: which of them hold for a message, and which one wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.model import Alternative, Assignment, Clue, Grounds, Message, ServiceId
from gateway_routing.anchors import Anchors
from gateway_routing.conditions import Condition, Senses, conditions_of
from gateway_routing.config import Rule
from gateway_routing.keywords import Keywords
from gateway_routing.patterns import Patterns
from gateway_routing.words import Word, located_words

LAYER = "rules"
SOURCE = "routing"

ALTERNATIVES = 5
"""So many other services are kept as alternatives."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that holds, and what was found of it."""

    number: int
    score: float
    words: Sequence[Word]
    patterns: Sequence[str]
    conditions: Sequence[str]


class RuleBook:
    """All rules, indexed by what they ask, so that a message meets only a few."""

    def __init__(self, rules: Sequence[Rule], senses: Senses | None = None) -> None:
        """Prepare ``rules``; ``senses`` tell what a message doesn't say itself."""
        self._rules = rules
        senses = senses or Senses()
        self._keywords = Keywords(rules)
        self._patterns = Patterns(each for rule in rules for each in rule.patterns)
        self._conditions = [conditions_of(rule, senses) for rule in rules]
        self._by_pattern = _index(rules, lambda rule: rule.patterns)
        self._anchors = Anchors(rules, senses)

    def assign(self, message: Message) -> Assignment | None:
        """Return the service that the rules name for ``message``, if any does.

        A rule's score is the number of things found of it (different words, patterns,
        other conditions) times its weight; the highest wins, of equals the first.
        Confidence is ``score / (scores of all rules + 1)``: one thing found is weak
        evidence (0.5), more strengthen it, what speaks for other rules weakens it.
        """
        hits = list(self._hits(message))
        if not hits:
            return None
        ranked = sorted(hits, key=lambda hit: (-hit.score, hit.number))
        total = sum(hit.score for hit in hits)
        winner = ranked[0]
        return Assignment(
            service=ServiceId(self._rules[winner.number].service),
            reason=self._reason(winner),
            source=SOURCE,
            confidence=winner.score / (total + 1),
            grounds=Grounds(
                layer=LAYER,
                rule=self.name_of(winner.number),
                conditions=tuple(winner.conditions),
                clues=self._clues(winner, message.text),
                alternatives=self._alternatives(ranked),
            ),
        )

    def name_of(self, number: int) -> str:
        """Return how a rule is called: its name, or its place in the configuration."""
        return self._rules[number].name or f"rules[{number}]"

    def _hits(self, message: Message) -> Iterator[Hit]:
        words = self._keywords.found(located_words(message.text))
        matched = self._patterns.found(message.text)
        patterns: dict[int, list[str]] = {}
        for pattern in matched:
            for number in self._by_pattern[pattern]:
                patterns.setdefault(number, []).append(pattern)
        anchored = self._anchors.rules_for(message)
        for number in sorted({*words, *patterns, *anchored}):
            rule = self._rules[number]
            found, matching = words.get(number, []), patterns.get(number, [])
            if (rule.words and not found) or (rule.patterns and not matching):
                continue
            held = _held(self._conditions[number], message)
            if held is not None:
                things = len(found) + len(matching) + len(held)
                yield Hit(number, things * rule.weight, found, matching, held)

    def _clues(self, hit: Hit, text: str) -> tuple[Clue, ...]:
        words = [Clue(start=word.start, end=word.end) for word in hit.words]
        found = [*words, *self._patterns.clues(hit.patterns, text)]
        return tuple(sorted(found, key=lambda clue: (clue.start, clue.end)))

    def _alternatives(self, ranked: Sequence[Hit]) -> tuple[Alternative, ...]:
        best: dict[ServiceId, float] = {}
        for hit in ranked:
            best.setdefault(ServiceId(self._rules[hit.number].service), hit.score)
        others = list(best.items())[1 : ALTERNATIVES + 1]
        return tuple(Alternative(service=s, score=score) for s, score in others)

    def _reason(self, hit: Hit) -> str:
        words = ", ".join(word.text for word in hit.words)
        parts = [
            f"parole: {words}" if words else "",
            f"espressioni: {len(hit.patterns)}" if hit.patterns else "",
            *hit.conditions,
        ]
        name = self._rules[hit.number].name
        reason = "; ".join(part for part in parts if part)
        return f"{name}: {reason}" if name else reason


def _held(conditions: Sequence[Condition], message: Message) -> list[str] | None:
    """Return what holds, in words; None unless all do."""
    held = []
    for condition in conditions:
        said = condition(message)
        if not said:
            return None
        held.append(said)
    return held


def _index(
    rules: Sequence[Rule], keys: Callable[[Rule], Sequence[str]]
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        for key in dict.fromkeys(keys(rule)):
            found.setdefault(key, []).append(number)
    return found
