"""Rules without words and patterns, found by one thing that each of them asks.

So a thousand rules by sender or street cost a message no more than one. Whether all
that a rule asks holds is looked at afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.model import Message
from gateway_routing.conditions import Senses, plain_class
from gateway_routing.config import Rule
from gateway_routing.words import plain

Key = tuple[str, str]

_WILD = frozenset("*?[")


class Anchors:
    """Which rules may hold for a message."""

    def __init__(self, rules: Sequence[Rule], senses: Senses) -> None:
        """Index ``rules``; those with words or patterns are left aside."""
        self._senses = senses
        self._found: dict[Key, list[int]] = {}
        self._always: list[int] = []
        for number, rule in enumerate(rules):
            if rule.words or rule.patterns:
                continue
            keys = _keys_of(rule)
            for key in keys:
                self._found.setdefault(key, []).append(number)
            if not keys:
                self._always.append(number)
        self._kinds = {kind for kind, _ in self._found}

    def rules_for(self, message: Message) -> Iterator[int]:
        """Yield the rules that may hold, perhaps twice."""
        yield from self._always
        if self._kinds:
            for key in self._keys_in(message):
                yield from self._found.get(key, ())

    def _keys_in(self, message: Message) -> Iterator[Key]:
        yield "choice", message.choice
        yield "channel", message.channel
        if "sender" in self._kinds:
            for address in (message.sender, *message.aliases):
                value = address.value.casefold()
                yield "sender", value
                yield "sender", str(address).casefold()
                yield "sender", f"*@{value.rpartition('@')[2]}"
        if "class" in self._kinds:
            filed = plain_class(message.classification)
            yield "class", filed
            for length in range(len(filed)):
                yield "class", f"{filed[: length + 1]}*"
        if "district" in self._kinds:
            yield "district", plain(self._senses.district(message))
        if "area" in self._kinds:
            for file in self._senses.areas(message):
                yield "area", str(file)
        if "street" in self._kinds:
            yield "street", plain(self._senses.street(message))


def _keys_of(rule: Rule) -> list[Key]:
    """Return what one message that the rule holds for has one of; none: try it."""
    senders = list(_looked_up(rule.senders))
    for kind, values in (
        ("choice", rule.choices),
        ("sender", senders if len(senders) == len(rule.senders) else ()),
        ("class", map(plain_class, rule.classifications)),
        ("street", map(plain, rule.streets)),
        ("area", map(str, rule.areas)),
        ("district", map(plain, rule.districts)),
        ("channel", rule.channels),
    ):
        found = [(kind, value) for value in dict.fromkeys(values)]
        if found:
            return found
    return []


def _looked_up(senders: Iterable[str]) -> Iterator[str]:
    """Yield those of ``senders`` that need no search: whole, or a whole domain."""
    for sender in senders:
        wanted = sender.casefold()
        rest = wanted.removeprefix("*@")
        if not _WILD & set(rest) and "@" not in (rest if rest != wanted else ""):
            yield wanted
