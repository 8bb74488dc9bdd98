"""What a rule may ask besides words: each condition by itself, pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from pathlib import Path
from typing import Generic, TypeVar

from gateway.model import Message
from gateway_routing.config import Rule
from gateway_routing.words import plain

AskedT = TypeVar("AskedT")
SaidT = TypeVar("SaidT")

Guess = Callable[[str], str]
"""Returns the language of a text (``it``), "" if it can't be told."""

Find = Callable[[Message], str]
"""Returns what a message is about: its street or district; "" if it is not known."""

FindAreas = Callable[[Message], Collection[Path]]
"""Returns the files that draw an area which a message is about a point in."""

Condition = Callable[[Message], str]
"""Returns what holds, in the city's words; "" if it doesn't."""


def unknown(message: Message) -> str:
    """Return "": nothing is known of where ``message`` is about."""
    del message
    return ""


def nowhere(message: Message) -> Collection[Path]:
    """Return nothing: no area is drawn."""
    del message
    return ()


class Once(Generic[AskedT, SaidT]):
    """Asks once, however many rules want to know it of one message."""

    def __init__(self, ask: Callable[[AskedT], SaidT]) -> None:
        """Remember the last answer of ``ask``."""
        self._ask = ask
        # One object, put in place at once: threads ask too.
        self._last: tuple[AskedT, SaidT] | None = None

    def __call__(self, about: AskedT) -> SaidT:
        """Return the answer, the remembered one about the very same object."""
        last = self._last
        if last is None or last[0] is not about:
            last = self._last = (about, self._ask(about))
        return last[1]


@dataclass(frozen=True, slots=True)
class Senses:
    """What tells of a message what it doesn't say itself."""

    language: Guess = lambda _: ""
    street: Find = unknown
    district: Find = unknown
    areas: FindAreas = nowhere


def conditions_of(rule: Rule, senses: Senses) -> tuple[Condition, ...]:
    """Return the conditions of ``rule`` but words and expressions, cheapest first."""
    return tuple(_made(rule, senses))


def _made(rule: Rule, senses: Senses) -> Iterator[Condition]:
    if rule.channels:
        yield _channel(frozenset(rule.channels))
    if rule.choices:
        yield _choice(frozenset(rule.choices))
    if rule.senders:
        yield _sender(rule.senders)
    if rule.classifications:
        yield _classification(rule.classifications)
    if rule.attachments:
        yield _attachment(rule.attachments)
    if rule.languages:
        yield _language(frozenset(rule.languages), senses.language)
    if rule.districts:
        yield _place("zona", rule.districts, senses.district)
    if rule.areas:
        yield _area(rule.areas, senses.areas)
    if rule.streets:
        yield _place("via", rule.streets, senses.street)


def _channel(channels: frozenset[str]) -> Condition:
    return lambda m: f"canale: {m.channel}" if m.channel in channels else ""


def _choice(choices: frozenset[str]) -> Condition:
    return lambda m: f"scelta: {m.choice}" if m.choice in choices else ""


def _sender(patterns: Sequence[str]) -> Condition:
    wanted = re.compile("|".join(translate(each.casefold()) for each in patterns))

    def holds(message: Message) -> str:
        # Anybody can write a forged address down.
        if message.authentic is False:
            return ""
        for address in (message.sender, *message.aliases):
            for form in (address.value, str(address)):
                if wanted.match(form.casefold()):
                    return "mittente"
        return ""

    return holds


def _classification(classes: Sequence[str]) -> Condition:
    whole = frozenset(plain_class(each) for each in classes if not each.endswith("*"))
    beginnings = tuple(plain_class(each[:-1]) for each in classes if each[-1] == "*")

    def holds(message: Message) -> str:
        found = plain_class(message.classification)
        held = found in whole or (found and found.startswith(beginnings))
        return f"classifica: {message.classification.strip()}" if held else ""

    return holds


def plain_class(written: str) -> str:
    """Return a class as it is compared: ``vi.5`` for ``VI.5``."""
    return written.strip().casefold()


def _attachment(types: Sequence[str]) -> Condition:
    def holds(message: Message) -> str:
        for each in message.attachments:
            kind = each.media_type.partition(";")[0].strip().casefold()
            if any(fnmatchcase(kind, wanted) for wanted in types):
                return f"allegato: {kind}"
        return ""

    return holds


def _language(languages: frozenset[str], guess: Guess) -> Condition:
    def holds(message: Message) -> str:
        language = guess(message.text)
        return f"lingua: {language}" if language in languages else ""

    return holds


def _area(files: Sequence[Path], find: FindAreas) -> Condition:
    def holds(message: Message) -> str:
        found = find(message)
        return next((f"area: {file.stem}" for file in files if file in found), "")

    return holds


def _place(kind: str, names: Sequence[str], find: Find) -> Condition:
    wanted = frozenset(plain(name) for name in names)

    def holds(message: Message) -> str:
        found = find(message)
        return f"{kind}: {found}" if found and plain(found) in wanted else ""

    return holds
