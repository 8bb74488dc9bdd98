"""Reads word lists: a word or phrase a line; what follows ``#`` is a comment."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from gateway.errors import PluginError

_DATA = resources.files("gateway_moderation") / "data"


def parse_list(text: str) -> tuple[str, ...]:
    """Return the words and phrases of a list."""
    entries = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(entry for entry in entries if entry)


def builtin() -> tuple[str, ...]:
    """Return the Italian list that comes with the plugin, without what it drops."""
    words = parse_list((_DATA / "ldnoobw_it.txt").read_text("utf-8"))
    dropped = builtin_dropped()
    return tuple(word for word in words if word not in dropped)


def builtin_dropped() -> dict[str, str]:
    """Return what is dropped from the list that we build on, and why."""
    text = (_DATA / "ldnoobw_it_dropped.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    return {row["word"]: row["why"] for row in rows}


def read_lists(files: Iterable[Path]) -> tuple[str, ...]:
    """Return the words of the city's own lists.

    Raises:
        PluginError: a list can't be read.

    """
    return tuple(word for file in files for word in parse_list(_read(file)))


def _read(file: Path) -> str:
    try:
        # Windows' editors put a byte order mark before the first line.
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise PluginError(f"word list {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise PluginError(f"word list {file} is not UTF-8: save it as UTF-8") from None
