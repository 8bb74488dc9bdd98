"""CSV files as spreadsheets write them: comma, semicolon or tab, named columns."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from gateway.errors import PluginError

_DELIMITERS = "\t;,"


def read_table(
    path: Path, columns: Collection[str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the rows of a CSV file in UTF-8, each with its place: ``vie.csv:3``.

    The first line names the columns; all of ``columns`` must be there.

    Raises:
        PluginError: names file, line, what was found and what is wanted.

    """
    try:
        yield from _rows(path, columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PluginError(f"{path}: {error}; wanted a CSV file in UTF-8") from None


def point_of(texts: Iterable[str], place: str) -> tuple[float, float]:
    """Return the latitude and longitude that stand at ``place`` (WGS 84 degrees).

    Raises:
        PluginError: names place, what was found and what is wanted.

    """
    found = " ".join(texts)
    try:
        latitude, longitude = (float(text.replace(",", ".")) for text in texts)
    except ValueError:
        latitude = longitude = float("nan")
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # noqa: PLR2004
        raise PluginError(f"{place}: found position {found}; wanted degrees (WGS 84)")
    return latitude, longitude


def _rows(
    path: Path, columns: Collection[str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        delimiter = max(_DELIMITERS, key=head.count)
        file.seek(0)
        table = csv.DictReader(file, delimiter=delimiter, strict=True)
        names = [name or "" for name in table.fieldnames or ()]
        if not set(columns) <= set(names):
            found = ", ".join(names) or "nothing"
            wanted = " and ".join(columns)
            raise PluginError(f"{path}:1: found columns {found}; wanted {wanted}")
        for row in table:
            plain = {name: (row[name] or "").strip() for name in names}
            yield f"{path}:{table.line_num}", plain
