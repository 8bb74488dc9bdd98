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


Word = Annotated[str, AfterValidator(_one_word)]


class Rule(Section):
    """Words that speak for a service."""

    service: ServiceReference
    """The id of the service: ``[services.<id>]``."""

    words: Annotated[tuple[Word, ...], Field(min_length=1)]
    """Whole words, whatever their case and accents; ``asfalt*``: any ending."""


class RoutingConfig(Section):
    """By which words a message goes to which service."""

    rules: tuple[Rule, ...] = ()
    """The rule with the most different words found wins; of equals the first."""
