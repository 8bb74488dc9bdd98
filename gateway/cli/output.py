"""How commands print: a table for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import orjson
import typer

from gateway.commands import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption

__all__ = [
    "DEFAULT_CONFIG",
    "EXIT_FAILED",
    "ConfigOption",
    "JsonOption",
    "LimitOption",
    "complain",
    "dumps",
    "printable",
    "said",
    "show",
    "show_one",
]

LimitOption = Annotated[int, typer.Option(min=1, help="At most so many rows.")]

_NAMES = {"id", "number"}
_WIDE = 1000

Row = Mapping[str, Any]


def said(value: str) -> str:
    """Return what somebody gave as a reason, if it says anything."""
    if not value.strip():
        raise typer.BadParameter("say something")
    return value.strip()


def complain(text: str) -> None:
    """Print an error for people."""
    typer.echo(text, err=True)


def show(rows: Sequence[Row], *, as_json: bool, empty: str) -> None:
    """Print rows as JSON, or as a table; say so if there are none."""
    if as_json:
        sys.stdout.write(dumps(list(rows)) + "\n")
    elif not rows:
        typer.echo(empty)
    else:
        _table(rows)


def show_one(row: Row, *, as_json: bool) -> None:
    """Print one thing, field by field."""
    if as_json:
        sys.stdout.write(dumps(row) + "\n")
        return
    width = max(len(key) for key in row)
    for key, value in row.items():
        typer.echo(f"{key:<{width}}  {printable(value)}")


def dumps(value: Any) -> str:
    """Return JSON with sorted keys, indented."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    return orjson.dumps(value, default=str, option=options).decode()


def printable(value: Any) -> str:
    """Return a value for the terminal; control characters show as what they are."""
    if isinstance(value, datetime):
        return value.astimezone().isoformat(sep=" ", timespec="seconds")
    if isinstance(value, Enum):
        return str(value.value)
    text = "" if value is None else str(value)
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in text
    )


def _table(rows: Sequence[Row]) -> None:
    from rich.console import Console  # noqa: PLC0415 (only tables need it)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    cells = [[printable(value) for value in row.values()] for row in rows]
    for key, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        # Whole, however narrow the terminal: other commands take ids and numbers.
        whole = max(map(len, column)) if key in _NAMES else None
        table.add_column(key, overflow="fold", min_width=whole)
    for row in cells:
        # Text, not str: brackets of a citizen's message are no markup.
        table.add_row(*map(Text, row))
    # A pipe has no width.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
