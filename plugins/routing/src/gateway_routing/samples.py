"""Decided reports: what a model learns from and is measured by."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import PluginError

_COLUMNS = ("service", "text")
_DELIMITERS = "\t;,"


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
    try:
        return list(_samples(path, services))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PluginError(f"{path}: {error}; wanted a CSV file in UTF-8") from None


def _samples(path: Path, services: Collection[str]) -> Iterator[Sample]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        delimiter = max(_DELIMITERS, key=head.count)
        file.seek(0)
        table = csv.DictReader(file, delimiter=delimiter, strict=True)
        names = [name or "" for name in table.fieldnames or ()]
        if not set(_COLUMNS) <= set(names):
            found = ", ".join(names) or "nothing"
            wanted = " and ".join(_COLUMNS)
            raise PluginError(f"{path}:1: found columns {found}; wanted {wanted}")
        for row in table:
            service, text = ((row[name] or "").strip() for name in _COLUMNS)
            place = f"{path}:{table.line_num}"
            if service not in services:
                known = ", ".join(services)
                raise PluginError(
                    f"{place}: found service {service!r}; allowed: one of {known}"
                )
            if text:
                yield Sample(service, text)
