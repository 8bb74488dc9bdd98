"""What stands elsewhere: secrets in the environment and in files; relative paths."""

from __future__ import annotations

import os
import types
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from pathlib import Path, PurePath
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr

from gateway.config.complaints import Complaint, show
from gateway.config.document import KeyPath, name_of
from gateway.config.form import SECRET, Form
from gateway.config.secret_files import UnusableFile, read_secret, reason
from gateway.config.section import MAY_BE_PLAIN


class Resolver:
    """Puts secrets in place of the tables that name them, and makes paths absolute.

    Paths, of secrets as of all else, are relative to ``folder``. Where something can't
    be resolved, None is put and a complaint noted.
    """

    def __init__(self, folder: Path, form: Form) -> None:
        """Resolve what ``form`` describes."""
        self._folder = folder
        self._form = form
        self.complaints: list[Complaint] = []
        self.secrets: set[str] = set()
        self.files: dict[KeyPath, Path] = {}

    def section(
        self, values: Mapping[str, Any], kinds: Iterable[type[BaseModel]], path: KeyPath
    ) -> dict[str, Any]:
        """Return a section's values, resolved as the fields of ``kinds`` ask."""
        fields = ChainMap(*(kind.model_fields for kind in kinds))
        return {
            key: self._value(value, _kinds(fields[key].annotation), (*path, key))
            if key in fields
            else value
            for key, value in values.items()
        }

    def _value(self, value: Any, kinds: Sequence[Any], path: KeyPath) -> Any:
        if any(_is(kind, SecretStr, SecretBytes) for kind in kinds):
            return self._secret(value, path)
        match value:
            case str() if any(_is(kind, PurePath) for kind in kinds):
                return self._path(value, path)
            case date() | time() if not any(_is_time(kind) for kind in kinds):
                return self._complain(path, show(value), self._form.describe(path))
            case list():
                inner = _inner(kinds, list, tuple, set, frozenset, Sequence)
                return [self._value(v, inner, (*path, i)) for i, v in enumerate(value)]
            case dict():
                return self._table(value, kinds, path)
        return value

    def _table(self, value: dict[str, Any], kinds: Sequence[Any], path: KeyPath) -> Any:
        models = [kind for kind in kinds if _is(kind, BaseModel)]
        if models:
            return self.section(value, models, path)
        inner = _inner(kinds, dict, Mapping)
        return {key: self._value(v, inner, (*path, key)) for key, v in value.items()}

    def _path(self, value: str, path: KeyPath) -> Any:
        target = self._folder / value
        try:
            target.stat()
        except (FileNotFoundError, NotADirectoryError):
            pass  # whether it must be there is for the field's own type to say
        except (OSError, ValueError) as error:
            # Too long, a NUL in it, a folder we may not enter: no type expects that.
            return self._complain(path, f"{show(value)} ({reason(error)})", "a path")
        return str(target)

    def _secret(self, value: Any, path: KeyPath) -> Any:
        match value:
            case {"env": str(name), **rest} if not rest:
                secret = self._from_environment(name, path)
            case {"file": str(name), **rest} if not rest:
                secret = self._from_file(name, path)
            case str() if self._form.at(path).get(MAY_BE_PLAIN):
                secret = value
            case str():
                secret = self._complain(path, "a secret in clear text", SECRET)
            case _:
                secret = self._complain(path, name_of(value), SECRET)
        if secret is not None:
            self.secrets.add(secret)
        return secret

    def _from_environment(self, name: str, path: KeyPath) -> Any:
        found = os.environ.get(name, "")
        if not found:
            text = f"environment variable {name}, which is not set"
            return self._complain(path, text, "a variable that is set")
        if not _is_utf8(found):
            text = f"environment variable {name}, which is no UTF-8"
            return self._complain(path, text, "a variable in UTF-8")
        return found

    def _from_file(self, name: str, path: KeyPath) -> Any:
        file = self._folder / name
        try:
            content = read_secret(file, name)
        except UnusableFile as error:
            return self._complain(path, f"file {name}{error.found}", error.allowed)
        self.files[path] = file
        return content

    def _complain(self, path: KeyPath, found: str, allowed: str) -> Any:
        """Note a complaint; return what stands for the value that can't be had."""
        self.complaints.append(Complaint(path, found, allowed))
        return None


def _is_utf8(text: str) -> bool:
    """Tell whether the environment held UTF-8: other bytes come as surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _is(kind: Any, *bases: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, bases)


def _is_time(kind: Any) -> bool:
    return kind in {Any, object} or _is(kind, date, time)


def _inner(kinds: Sequence[Any], *containers: Any) -> list[Any]:
    """Return what the elements of containers may be (of tables, also the keys)."""
    return [
        inner
        for kind in kinds
        if get_origin(kind) in containers
        for argument in get_args(kind)
        for inner in _kinds(argument)
    ]


def _kinds(annotation: Any) -> list[Any]:
    """Return the alternatives of a type: unions and annotations taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return [kind for each in get_args(annotation) for kind in _kinds(each)]
    if hasattr(annotation, "__value__"):  # an alias, as Python 3.12 makes them
        return _kinds(annotation.__value__)
    return [annotation]
