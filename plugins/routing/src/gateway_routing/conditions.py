"""What a rule may ask besides words: each condition by itself, pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase, translate

from gateway.model import Message
from gateway_routing.config import Rule

Guess = Callable[[str], str]
"""Returns the language of a text (``it``), "" if it can't be told."""

Condition = Callable[[Message], str]
"""Returns what holds, in the city's words; "" if it doesn't."""


def conditions_of(rule: Rule, guess: Guess) -> tuple[Condition, ...]:
    """Return the conditions of ``rule`` but words and expressions, cheapest first."""
    return tuple(_made(rule, guess))


def _made(rule: Rule, guess: Guess) -> Iterator[Condition]:
    if rule.channels:
        yield _channel(frozenset(rule.channels))
    if rule.choices:
        yield _choice(frozenset(rule.choices))
    if rule.senders:
        yield _sender(rule.senders)
    if rule.attachments:
        yield _attachment(rule.attachments)
    if rule.languages:
        yield _language(frozenset(rule.languages), guess)


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
