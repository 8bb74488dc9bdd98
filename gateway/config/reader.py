"""Reads one section after the other, and remembers all that is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError

from gateway.config.base import Section
from gateway.config.complaints import Complaint, explain, unknown
from gateway.config.document import Document, KeyPath, name_of
from gateway.config.form import Form
from gateway.config.references import ids_of
from gateway.config.resolving import Resolver
from gateway.config.secret_files import FileSecret, with_value
from gateway.errors import ConfigError, Problem

SectionT = TypeVar("SectionT", bound=Section)


class Reader:
    """Turns the tables of one document into sections."""

    def __init__(self, document: Document) -> None:
        """Read from ``document``."""
        self.data = document.data
        self._document = document
        self._ids = ids_of(document.data)
        self._problems: dict[KeyPath, Problem] = {}

    def complain(self, path: KeyPath, found: str, allowed: str) -> None:
        """Note what is wrong with a key: the first thing only, the rest follows."""
        if path not in self._problems:
            self._problems[path] = self._document.problem(path, found, allowed)

    def is_wrong(self, path: KeyPath) -> bool:
        """Tell whether something was noted on a key or below it."""
        return any(each[: len(path)] == path for each in self._problems)

    def finish(self) -> None:
        """Raise what was noted, in the order of the lines."""
        if self._problems:
            noted = self._problems.values()
            raise ConfigError(tuple(sorted(noted, key=lambda p: (p.line or 0, p.key))))

    def table(self, value: Any, path: KeyPath) -> Mapping[str, Any] | None:
        """Return a table, which may be left out; None after complaining."""
        if value is None or isinstance(value, Mapping):
            return value or {}
        self.complain(path, name_of(value), "a table")
        return None

    def section(
        self, kind: type[SectionT], value: Any, path: KeyPath
    ) -> SectionT | None:
        """Return a section of ``kind``, or None after complaining."""
        values = self.table(value, path)
        if values is None:
            return None
        form = Form(kind)
        # Absolute: what is joined with the folder once more stays where it is.
        resolver = Resolver(self._document.path.parent.absolute(), form)
        resolved = resolver.section(values, [kind], ())
        for each in resolver.complaints:
            self.complain((*path, *each.path), each.found, each.allowed)
        validate = partial(self._validated, kind)
        try:
            section = validate(resolved)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._note(explain(detail, form, values), resolver, path)
            return None
        if resolver.complaints:
            return None
        for key, file in resolver.files.items():
            section = _following(section, resolved, key, file, validate)
        return section

    def _validated(self, kind: type[SectionT], resolved: Any) -> SectionT:
        # As JSON, since only that has the strictness wanted: "8080" is no integer,
        # but a list may become a tuple and a text a path.
        text = json.dumps(resolved, default=str)
        return kind.model_validate_json(
            text, strict=True, extra="forbid", context=self._ids
        )

    def _note(self, complaint: Complaint, resolver: Resolver, base: KeyPath) -> None:
        """Note what pydantic says, unless it only follows from what is unresolved."""
        for each in resolver.complaints:
            if each.path[: len(complaint.path)] == complaint.path:
                return
        allowed = complaint.allowed
        for secret in resolver.secrets:
            # A plugin's own validator may have quoted what it was given.
            allowed = allowed.replace(secret, "***")
        self.complain((*base, *complaint.path), complaint.found, allowed)

    def known_keys(
        self, values: Mapping[str, Any], known: Iterable[str], path: KeyPath
    ) -> None:
        """Complain of keys that mean nothing here."""
        names = list(known)
        for key in values:
            if key not in names:
                self.complain(*unknown((*path, key), names))


def _following(
    section: SectionT,
    resolved: Any,
    path: KeyPath,
    file: Path,
    validate: Callable[[Any], object],
) -> SectionT:
    """Let the secret at ``path`` follow its file; a new value is validated as here."""

    def accept(value: str) -> None:
        validate(with_value(resolved, path, lambda _: value))

    def follow(secret: Any) -> Any:
        is_plain = type(secret) is SecretStr
        return (
            FileSecret(secret.get_secret_value(), file, accept) if is_plain else secret
        )

    changed: SectionT = with_value(section, path, follow)
    return changed
