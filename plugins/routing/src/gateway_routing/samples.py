"""Decided reports: what a model learns from and is measured by."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import PluginError
from gateway_routing.tables import read_table

_COLUMNS = ("service", "text")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a citizen wrote, and whose it was."""

    service: str
    text: str


def read_csv(path: Path, services: Collection[str]) -> list[Sample]:
    """Return the samples of a CSV file (UTF-8; comma, semicolon or tab).

    The first line names the columns; ``service`` and ``text`` are read.

    Raises:
        PluginError: names file, line, what was found and what is allowed.

    """
    return list(_samples(path, services))


def _samples(path: Path, services: Collection[str]) -> Iterator[Sample]:
    for place, row in read_table(path, _COLUMNS):
        service, text = row["service"], row["text"]
        if service not in services:
            known = ", ".join(services)
            raise PluginError(
                f"{place}: found service {service!r}; allowed: one of {known}"
            )
        if text:
            yield Sample(service, text)
