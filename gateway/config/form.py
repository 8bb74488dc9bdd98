"""What a section may hold, read from its JSON Schema and said in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import BaseModel

SECRET = '{ env = "NAME" } or { file = "path" }'  # noqa: S105 (how one is written)
"""How a secret is written."""

Node = Mapping[str, Any]

_FORMATS = {
    "date": "a date",
    "date-time": "a date with a time",
    "directory-path": "the path of a folder that exists",
    "email": "an e-mail address",
    "file-path": "the path of a file that exists",
    "path": "a path",
    "time": "a time of day",
    "uri": "a URL",
}
_PLAIN = {"array": "a list", "boolean": "true or false", "object": "a table"}


def is_secret(node: Node) -> bool:
    """Tell whether a node of a schema stands for a `SecretStr`."""
    return node.get("format") == "password" and bool(node.get("writeOnly"))


class Form:
    """The JSON Schema of a section, to be looked up by the path of a key."""

    def __init__(self, kind: type[BaseModel]) -> None:
        """Look up what ``kind`` holds."""
        self._kind = kind

    @cached_property
    def _root(self) -> Node:
        # Only what is wrong needs words: a good configuration does not pay for them.
        return self._kind.model_json_schema()

    def at(self, path: Sequence[str | int]) -> Node:
        """Return what may stand at ``path``; an empty node if that is not known."""
        node: Node = self._root
        for step in path:
            found = (self._below(each, step) for each in self._alternatives(node))
            node = next((each for each in found if each is not None), {})
        return node

    def keys(self, path: Sequence[str | int]) -> list[str]:
        """Return the keys that the table at ``path`` may have."""
        tables = self._alternatives(self.at(path))
        return [key for table in tables for key in table.get("properties", ())]

    def is_secret(self, path: Sequence[str | int]) -> bool:
        """Tell whether a secret may stand at ``path``."""
        return any(is_secret(each) for each in self._alternatives(self.at(path)))

    def hides_secret(self, path: Sequence[str | int]) -> bool:
        """Tell whether a secret may be meant at or below ``path``.

        ``tokens = "abc"`` shows one, though a list of secrets was wanted.
        """
        node = self.at(path)
        return not node or self._hides(node, frozenset())

    def _hides(self, node: Any, seen: frozenset[str]) -> bool:
        if isinstance(node, list):
            return any(self._hides(each, seen) for each in node)
        if not isinstance(node, Mapping):
            return False
        name = node.get("$ref", "").removeprefix("#/$defs/")
        if name and name not in seen:
            return self._hides(self._root["$defs"][name], seen | {name})
        return is_secret(node) or any(self._hides(v, seen) for v in node.values())

    def describe(self, path: Sequence[str | int]) -> str:
        """Say what may stand at ``path``; "" if that is not known."""
        return self._words(self.at(path))

    def summary(self, path: Sequence[str | int]) -> str:
        """Return the first sentence of the description of the key at ``path``."""
        text = str(self.at(path).get("description", ""))
        first = text.partition("\n\n")[0].replace("\n", " ")
        return first.replace("``", "").rstrip(".")

    def _alternatives(self, node: Node) -> Iterator[Node]:
        """Yield what a node may be: references followed, unions taken apart."""
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            yield from self._alternatives(self._root["$defs"][name])
        members = node.get("anyOf") or node.get("oneOf")
        for each in members or ():
            yield from self._alternatives(each)
        if not members and "$ref" not in node:
            yield node

    @staticmethod
    def _below(node: Node, step: str | int) -> Node | None:
        """Return what may stand one step below ``node``."""
        if isinstance(step, int):
            first: list[Node] = node.get("prefixItems", [])
            return first[step] if step < len(first) else node.get("items")
        found = node.get("properties", {}).get(step)
        others = (*node.get("patternProperties", {}).values(), _table_rest(node))
        return found or next((each for each in others if each is not None), None)

    def _words(self, node: Node) -> str:
        every = self._alternatives(node)
        kinds = [each for each in every if each.get("type") != "null"]
        choices = [choice for each in kinds for choice in _choices(each)]
        words = [self._word(each) for each in kinds if not _choices(each)]
        if choices and not words:
            return f"one of: {', '.join(choices)}"
        return " or ".join(word for word in dict.fromkeys([*words, *choices]) if word)

    def _word(self, node: Node) -> str:
        kind = node.get("type")
        if kind in {"integer", "number"}:
            noun = "an integer" if kind == "integer" else "a number"
            return f"{noun}{_range(node)}"
        if kind == "string":
            return _text(node)
        if kind == "array":
            each = self._words(node.get("items") or {})
            return f"a list{_count(node)}" + (f", each {each}" if each else "")
        return _PLAIN.get(str(kind), "")


def _table_rest(node: Node) -> Node | None:
    rest = node.get("additionalProperties")
    return rest if isinstance(rest, Mapping) else None


def _choices(node: Node) -> list[str]:
    values = node.get("enum", [node["const"]] if "const" in node else [])
    return [str(value) for value in values]


def _text(node: Node) -> str:
    fewest, most = node.get("minLength"), node.get("maxLength")
    if is_secret(node):
        return SECRET + (f" of at least {fewest} characters" if fewest else "")
    words = _FORMATS.get(node.get("format", ""), "a text")
    if fewest and not most:
        words += " that is not empty" if fewest == 1 else f" of {fewest} characters up"
    elif most:
        words += f" of {fewest or 0} to {most} characters"
    return words + (f" that matches {node['pattern']}" if "pattern" in node else "")


def _count(node: Node) -> str:
    fewest, most = node.get("minItems"), node.get("maxItems")
    if fewest and most:
        return f" of {fewest} to {most}"
    if fewest:
        return f" of at least {fewest}"
    return f" of at most {most}" if most else ""


def _range(node: Node) -> str:
    """Return the bounds of a number in words."""
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {_number(low)} to {_number(high)}"
    bounds = [
        f"{words} {_number(bound)}"
        for words, bound in (
            ("at least", low),
            ("greater than", above),
            ("at most", high),
            ("less than", below),
        )
        if bound is not None
    ]
    return f", {' and '.join(bounds)}" if bounds else ""


def _number(value: float) -> str:
    return f"{value:.15g}"
