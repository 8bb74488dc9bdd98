"""A TOML file and the line of each of its keys."""

from __future__ import annotations

import codecs
import json
import re
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


_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DEEPEST = 16
_INTEGERS = range(-(2**63), 2**63)
"""What a TOML integer may be (TOML 1.0, "Integer")."""

_NAMES = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a text",
    dict: "a table",
    list: "a list",
}


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as the user knows it: ``services.strade.connectors[0].to``."""
    return "".join(_step(step) for step in path).removeprefix(".") or "(the file)"


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    bare = _BARE.fullmatch(step)
    return f".{step}" if bare else f".{json.dumps(step, ensure_ascii=False)}"


def name_of(value: Any) -> str:
    """Name a value's type as TOML does, and nothing of what it holds."""
    if isinstance(value, dict | list) and not value:
        return f"an empty {_NAMES[type(value)].split()[1]}"
    return _NAMES.get(type(value), "a date or time")


@dataclass(frozen=True, kw_only=True)
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
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise _unusable(path, None, reason, "a readable file") from None
        return cls.parse(path, source)

    @classmethod
    def parse(cls, path: Path, source: bytes) -> Document:
        """Parse what stands in ``path``.

        Raises:
            ConfigError: it is not TOML.

        """
        try:
            data = tomllib.loads(source.decode())
        except UnicodeDecodeError as error:
            line = source[: error.start].count(b"\n") + 1
            raise _unusable(path, line, "bytes that are no UTF-8", "UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise _syntax(path, source, str(error)) from None
        except (RecursionError, ValueError) as error:
            # ValueError: Python refuses to read a number of thousands of digits.
            deep = isinstance(error, RecursionError)
            found = "values nested too deep" if deep else "a number that is too long"
            raise _unusable(path, None, found, "valid TOML") from None
        document = cls(path=path, source=source, data=data)
        document._require_sane()
        return document

    def _require_sane(self) -> None:
        """Refuse what later steps could choke on: depth, and integers beyond 64 bits.

        The walk is a loop, since dotted keys can nest deeper than Python may call.
        """
        waiting: list[tuple[KeyPath, Any]] = [((), self.data)]
        problems = []
        while waiting:
            path, value = waiting.pop()
            if len(path) > _DEEPEST:
                raise ConfigError((self._too_deep(path),))
            if isinstance(value, dict):
                waiting += [((*path, key), each) for key, each in value.items()]
            elif isinstance(value, list):
                waiting += [((*path, index), each) for index, each in enumerate(value)]
            elif isinstance(value, int) and value not in _INTEGERS:
                problems.append(path)
        if problems:
            found = "an integer that is too large"
            told = [self.problem(p, found, "an integer of 64 bits") for p in problems]
            raise ConfigError(tuple(sorted(told, key=lambda each: each.line or 0)))

    def _too_deep(self, path: KeyPath) -> Problem:
        # Without its line: no parser should have to go down there.
        return Problem(
            file=str(self.path),
            line=None,
            key=dotted(path[:2]),
            found="values nested too deep",
            allowed=f"at most {_DEEPEST} levels",
        )

    @cached_property
    def _lines(self) -> Mapping[KeyPath, int]:
        lines: dict[KeyPath, int] = {}
        for path, line in _walk(self.source):
            lines.setdefault(path, line)
        return lines

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
        size = len(prefix)
        lines = [n for key, n in self._lines.items() if key[:size] == prefix]
        return min(lines, default=None)

    def problem(self, path: Sequence[str | int], found: str, allowed: str) -> Problem:
        """Return a problem with the key at ``path``."""
        return Problem(
            file=str(self.path),
            line=self.line(path),
            key=_printable(dotted(path)),
            found=_printable(found),
            allowed=_printable(allowed),
        )


def _printable(text: str) -> str:
    """Return a text in which control characters show as what they are."""
    shown = (c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return "".join(shown)


def _unusable(path: Path, line: int | None, found: str, allowed: str) -> ConfigError:
    problem = Problem(
        file=str(path), line=line, key=dotted(()), found=found, allowed=allowed
    )
    return ConfigError((problem,))


def _syntax(path: Path, source: bytes, text: str) -> ConfigError:
    """Turn ``… (at line 3, column 7)`` or ``… (at end of document)`` into a problem."""
    if source.startswith(codecs.BOM_UTF8):
        return _unusable(path, 1, "a byte order mark", "UTF-8 without one")
    complaint, _, place = text.rpartition(" (at ")
    words = place.replace(",", "").split()
    last = source.rstrip().count(b"\n") + 1
    line = int(words[1]) if words[:1] == ["line"] else last
    return _unusable(path, line, complaint[:1].lower() + complaint[1:], "valid TOML")


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
