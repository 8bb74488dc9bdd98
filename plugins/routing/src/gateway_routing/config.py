"""Configuration of the plugin: ``[plugins.routing]``."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.plugin import Section, ServiceReference


def _one_word(word: str) -> str:
    """Return ``word`` if it is a single one, perhaps with ``*`` at its end."""
    # Composed: an accent that stands by itself is no letter.
    composed = unicodedata.normalize("NFC", word)
    if not composed.removesuffix("*").isalnum():
        raise ValueError(
            "write one word of letters and digits, with * at the end for any ending"
        )
    return composed


def _distinct(topics: tuple[Topic, ...]) -> tuple[Topic, ...]:
    """Return ``topics`` if each has a title of its own."""
    titles = [topic.title.casefold() for topic in topics]
    for topic in topics:
        if titles.count(topic.title.casefold()) > 1:
            message = f"titles that differ: {topic.title!r} is there twice"
            raise ValueError(message)
    return topics


Word = Annotated[str, AfterValidator(_one_word)]


class Rule(Section):
    """Words that speak for a service."""

    service: ServiceReference
    """The id of the service: ``[services.<id>]``."""

    words: Annotated[tuple[Word, ...], Field(min_length=1)]
    """Whole words, whatever their case and accents; ``asfalt*``: any ending."""


class Topic(Section):
    """One thing to choose, and whose it is."""

    service: ServiceReference
    """The id of the service: ``[services.<id>]``."""

    title: Annotated[str, Field(min_length=1, max_length=24)]
    """What the citizen reads; up to 20 characters fit on a button."""

    description: Annotated[str, Field(max_length=72)] = ""
    """A second line, smaller."""


class QuestionSection(Section):
    """What a citizen is asked if no rule says whose their report is."""

    text: Annotated[str, Field(min_length=1, max_length=1024)] = (
        "Di che cosa si tratta?"
    )
    """The question."""

    label: Annotated[str, Field(min_length=1, max_length=20)] = "Scegli"
    """What is on the button that opens the list."""

    otherwise: ServiceReference
    """Who gets it if the citizen does not choose in time."""

    wait_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 30
    """How long the report waits for the choice."""

    topics: Annotated[
        tuple[Topic, ...], Field(min_length=2, max_length=10), AfterValidator(_distinct)
    ]
    """What to choose from."""


class RoutingConfig(Section):
    """By which words a message goes to which service."""

    rules: tuple[Rule, ...] = ()
    """The rule with the most different words found wins; of equals the first."""

    question: QuestionSection | None = None
    """What to ask if no rule matches, on channels that can show a menu."""
