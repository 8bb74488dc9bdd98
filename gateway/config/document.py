"""A TOML file and the line of each of its keys."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import ConfigError, Problem

if TYPE_CHECKING:
    from tree_sitter import Node

KeyPath = tuple[str | int, ...]


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as the user knows it: ``services.strade.connectors[0].to``."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(parts).removeprefix(".") or "(the file)"


_NAMES = {dict: "a table", list: "a list", str: "a text", bool: "a boolean"}
_NUMBERS = {int: "an integer", float: "a number"}


def name_of(value: Any) -> str:
    """Name a value's type as TOML does."""
    if value in ([], {}):
        return f"an empty {_NAMES[type(value)].split()[1]}"
    names = _NAMES | _NUMBERS
    return names.get(type(value), type(value).__name__)


@dataclass(frozen=True)
class Document:
    """A parsed TOML file."""

    path: Path
    source: bytes
    data: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read and parse ``path``.

        Raises:
            ConfigError: it can't be read, or is not TOML.

        """
        try:
            source = path.read_bytes()
            data = tomllib.loads(source.decode())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise _unusable(path, None, reason, "a readable file") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise _unusable(path, line, "bytes that are no UTF-8", "UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise _syntax(path, str(error)) from None
        except RecursionError:
            raise _unusable(path, None, "values nested too deep", "TOML") from None
        return cls(path=path, source=source, data=data)

    @cached_property
    def _lines(self) -> Mapping[KeyPath, int]:
        return dict(_walk(self.source))

    def line(self, path: Sequence[str | int]) -> int | None:
        """Return the line of a key; for a missing one, of what should hold it."""
        for length in range(len(path), 0, -1):
            prefix = tuple(path[:length])
            found = self._lines.get(prefix) or self._first_below(prefix)
            if found is not None:
                return found
        return None

    def _first_below(self, prefix: KeyPath) -> int | None:
        """Return the line of a table that is only named in its children's headers."""
        lines = [n for key, n in self._lines.items() if key[: len(prefix)] == prefix]
        return min(lines, default=None)

    def problem(self, path: Sequence[str | int], found: str, allowed: str) -> Problem:
        """Return a problem with the key at ``path``."""
        return Problem(
            file=str(self.path),
            line=self.line(path),
            key=dotted(path),
            found=found,
            allowed=allowed,
        )


def _unusable(path: Path, line: int | None, found: str, allowed: str) -> ConfigError:
    problem = Problem(
        file=str(path), line=line, key=dotted(()), found=found, allowed=allowed
    )
    return ConfigError((problem,))


def _syntax(path: Path, text: str) -> ConfigError:
    """Turn ``… (at line 3, column 7)`` into a problem with a line."""
    complaint, _, place = text.partition(" (at ")
    words = place.replace(",", "").split()
    line = int(words[1]) if words[:1] == ["line"] else None
    return _unusable(path, line, complaint[0].lower() + complaint[1:], "valid TOML")


def _walk(source: bytes) -> Iterator[tuple[KeyPath, int]]:
    """Yield each key's path and line, as tree-sitter sees them."""
    # Only problems need lines: a good configuration does not pay for the parser.
    import tree_sitter_toml  # noqa: PLC0415
    from tree_sitter import Language, Parser  # noqa: PLC0415

    parser = Parser(Language(tree_sitter_toml.language()))
    counts: dict[KeyPath, int] = {}
    for node in parser.parse(source).root_node.children:
        if node.type == "pair":
            yield from _pair(node, ())
        elif node.type in {"table", "table_array_element"}:
            yield from _table(node, counts)


def _table(node: Node, counts: dict[KeyPath, int]) -> Iterator[tuple[KeyPath, int]]:
    head, *rest = node.named_children
    path = _within(_key(head), counts)
    if node.type == "table_array_element":
        index = counts.get(path, 0)
        counts[path] = index + 1
        yield path, _line(head)
        path = (*path, index)
    yield path, _line(head)
    for child in rest:
        if child.type == "pair":
            yield from _pair(child, path)


def _within(path: KeyPath, counts: Mapping[KeyPath, int]) -> KeyPath:
    """Place a table below the last element of an array of tables."""
    placed: KeyPath = ()
    for step in path[:-1]:
        placed = (*placed, step)
        if placed in counts:
            placed = (*placed, counts[placed] - 1)
    return (*placed, path[-1])


def _pair(node: Node, base: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    key, value = node.named_children[:2]
    path = base
    for step in _key(key):
        path = (*path, step)
        yield path, _line(key)
    yield from _value(value, path)


def _value(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if node.type == "inline_table":
        for child in node.named_children:
            if child.type == "pair":
                yield from _pair(child, path)
    elif node.type == "array":
        elements = [c for c in node.named_children if c.type != "comment"]
        for index, child in enumerate(elements):
            yield (*path, index), _line(child)
            yield from _value(child, (*path, index))


def _key(node: Node) -> KeyPath:
    if node.type == "dotted_key":
        return tuple(step for child in node.named_children for step in _key(child))
    text = (node.text or b"").decode()
    if node.type == "quoted_key":
        # Let TOML itself undo the quotes and escapes.
        return tuple(tomllib.loads(f"{text} = 0"))
    return (text,)


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1
