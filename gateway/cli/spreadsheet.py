"""CSV that a spreadsheet opens as what it is: no cell becomes a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""With these, also in their wide forms, a formula begins (OWASP, CSV injection)."""


def safe(cell: object) -> object:
    """Return a cell with an apostrophe before what would begin a formula.

    Numbers are no texts: a negative one stays what it is.
    """
    dangerous = isinstance(cell, str) and cell.lstrip(" ").startswith(_DANGEROUS)
    return f"'{cell}" if dangerous else cell


def csv_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV as of RFC 4180, every text in quotes."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return text.getvalue()
