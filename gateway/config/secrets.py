"""Secrets come from the environment or from files, never from the configuration."""

from __future__ import annotations

import os
import stat
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from gateway.config.document import KeyPath, name_of

ALLOWED = '{ env = "NAME" } or { file = "path" }'

Complaint = tuple[KeyPath, str, str]
"""Where, what was found, what is allowed."""


class Resolver:
    """Puts secrets in place of the tables that name them."""

    def __init__(self, folder: Path, *, literal: frozenset[KeyPath]) -> None:
        """Find files relative to ``folder``; keys in ``literal`` may be plain text."""
        self._folder = folder
        self._literal = literal
        self.complaints: list[Complaint] = []

    def resolve(self, value: Any, annotation: Any, path: KeyPath) -> Any:
        """Return ``value`` with the secrets that ``annotation`` asks for resolved."""
        kinds = set(_flatten(annotation))
        if SecretStr in kinds:
            return self._secret(value, path)
        if isinstance(value, list):
            element = next((k for k in kinds if get_origin(k) in {list, tuple}), None)
            inner = get_args(element)[0] if element else Any
            return [self.resolve(v, inner, (*path, i)) for i, v in enumerate(value)]
        model = next((k for k in kinds if _is_model(k)), None)
        if model is not None and isinstance(value, Mapping):
            return self.resolve_section(value, model, path)
        return value

    def resolve_section(
        self, values: Mapping[str, Any], model: type[BaseModel], path: KeyPath
    ) -> dict[str, Any]:
        """Return a section's values with its secrets resolved."""
        known = model.model_fields
        return {
            key: self.resolve(value, known[key].annotation, (*path, key))
            if key in known
            else value
            for key, value in values.items()
        }

    def _secret(self, value: Any, path: KeyPath) -> Any:
        match value:
            case {"env": str(name), **rest} if not rest:
                return self._from_environment(name, path)
            case {"file": str(name), **rest} if not rest:
                return self._from_file(name, path)
            case str() if path in self._literal:
                return value
            case str():
                return self._complain(path, "a secret in clear text", ALLOWED)
        return self._complain(path, name_of(value), ALLOWED)

    def _from_environment(self, name: str, path: KeyPath) -> Any:
        found = os.environ.get(name)
        if found:
            return found
        text = f"environment variable {name}, which is not set"
        return self._complain(path, text, "a variable that is set")

    def _from_file(self, name: str, path: KeyPath) -> Any:
        file = self._folder / name
        try:
            mode = file.stat().st_mode
            content = file.read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            text = f"file {name} ({type(error).__name__})"
            return self._complain(path, text, "a readable text file")
        if stat.S_IMODE(mode) & stat.S_IROTH:
            text = f"file {name}, which everybody may read"
            return self._complain(path, text, f"a private file: chmod 600 {name}")
        if not content:
            return self._complain(path, f"file {name}, which is empty", "a secret")
        return content

    def _complain(self, path: KeyPath, found: str, allowed: str) -> None:
        self.complaints.append((path, found, allowed))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _flatten(annotation: Any) -> Iterator[Any]:
    """Yield the alternatives of a type: unions and annotations taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _flatten(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for each in get_args(annotation):
            yield from _flatten(each)
    else:
        yield annotation
