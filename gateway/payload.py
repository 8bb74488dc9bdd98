"""Typed reading of foreign data; an error carries the path, never the value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

import orjson

from gateway.errors import PayloadError

_NAMES = {dict: "object", list: "list", str: "text", bool: "flag", int: "integer"}


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON"
    raise ValueError(message)


def _whole(value: Any) -> Any:
    """Put a replacement character wherever half of one stands."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_whole(each) for each in value]
        case dict():
            return {_whole(key): _whole(each) for key, each in value.items()}
    return value


class Payload:
    """A foreign value that knows where it stands in its document.

    >>> Payload({"entry": [{}]}).items("entry")[0].text("from")
    Traceback (most recent call last):
    gateway.errors.PayloadError: entry[0].from: missing
    """

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str = "") -> None:
        """Wrap ``value`` (as JSON gives it), found at ``path``."""
        self.value = value
        self.path = path

    @classmethod
    def from_json(cls, body: bytes) -> Payload:
        """Parse ``body``.

        Raises:
            PayloadError: not JSON, not UTF-8, or nested too deep.

        """
        try:
            return cls(orjson.loads(body))
        except ValueError:
            pass
        try:
            # Half of a character (a lone surrogate, escaped) keeps nobody else's
            # message from being read.
            return cls(_whole(json.loads(body, parse_constant=_refuse_constant)))
        except (ValueError, RecursionError) as error:
            complaint = f"not JSON ({type(error).__name__})"
            raise PayloadError("", complaint) from None

    def refuse(self, wanted: str) -> NoReturn:
        """Raise a `PayloadError` that tells what was wanted and what type is there."""
        found = _NAMES.get(type(self.value), type(self.value).__name__)
        raise PayloadError(self.path, f"expected {wanted}, found {found}")

    def has(self, key: str) -> bool:
        """Tell whether ``key`` is there and not null."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def get(self, key: str) -> Payload:
        """Return the member ``key``; missing or null is an error."""
        path = f"{self.path}.{key}" if self.path else key
        if not isinstance(self.value, dict):
            self.refuse("object")
        value = self.value.get(key)
        if value is None:
            raise PayloadError(path, "missing")
        return Payload(value, path)

    def items(self, key: str) -> list[Payload]:
        """Return the list under ``key``, each element with its path."""
        return list(self.get(key))

    def items_or_none(self, key: str) -> list[Payload]:
        """Return the list under ``key``, empty if it is missing."""
        return self.items(key) if self.has(key) else []

    def __iter__(self) -> Iterator[Payload]:
        """Walk the elements of a list."""
        if not isinstance(self.value, list):
            self.refuse("list")
        for index, value in enumerate(self.value):
            yield Payload(value, f"{self.path}[{index}]")

    def find(self, path: str) -> Payload:
        """Follow a path as errors print it: ``entry[0].changes[1]``."""
        here = self
        for step in path.replace("[", ".[").split("."):
            if step.startswith("["):
                index = int(step[1:-1])
                elements = list(here)
                if index >= len(elements):
                    raise PayloadError(f"{here.path}{step}", "missing")
                here = elements[index]
            elif step:
                here = here.get(step)
        return here

    def text(self, key: str) -> str:
        """Return the text under ``key``."""
        return self.get(key).as_text()

    def text_or(self, key: str, default: str = "") -> str:
        """Return the text under ``key``, or ``default`` if it is missing."""
        return self.text(key) if self.has(key) else default

    def number(self, key: str) -> float:
        """Return the number under ``key``."""
        member = self.get(key)
        if isinstance(member.value, bool) or not isinstance(member.value, int | float):
            member.refuse("number")
        return float(member.value)

    def integer(self, key: str) -> int:
        """Return the integer under ``key``; digits in a text count."""
        member = self.get(key)
        value = member.value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            # 18 digits: whatever a vendor numbers fits, and int() stays cheap.
            return int(value[:18])
        if isinstance(value, bool) or not isinstance(value, int):
            member.refuse("integer")
        return int(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return the flag under ``key``, or ``default`` if it is missing."""
        if not self.has(key):
            return default
        member = self.get(key)
        if not isinstance(member.value, bool):
            member.refuse("flag")
        return bool(member.value)

    def as_text(self) -> str:
        """Return this value, which must be a text."""
        if not isinstance(self.value, str):
            self.refuse("text")
        return str(self.value)
