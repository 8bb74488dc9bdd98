"""What pydantic finds wrong, said to somebody who runs a city hall."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any, NamedTuple, get_args

from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from gateway.config.document import KeyPath, name_of
from gateway.config.form import Form

_OWN = frozenset(get_args(ErrorType))
"""pydantic's own kinds of errors; any other is a plugin author's, with their words."""

UNKNOWN_REFERENCE = "unknown_reference"
"""The kind of error of `gateway.config.references`; its context has a ``hint``."""

_AUTHORS = frozenset({"assertion_error", "value_error"})
_LONGEST = 60


class Complaint(NamedTuple):
    """Where something is wrong, what was found, what is allowed."""

    path: KeyPath
    found: str
    allowed: str


def explain(detail: ErrorDetails, form: Form, raw: Mapping[str, Any]) -> Complaint:
    """Return what pydantic says of a section, whose file holds ``raw``.

    Only ``raw`` is ever shown: pydantic itself was given the resolved secrets.
    """
    kind = detail["type"]
    path, value = _follow(detail["loc"], raw, absent=kind == "missing")
    if kind == "missing":
        return missing(path, form)
    if kind == "extra_forbidden":
        return unknown(path, form.keys(path[:-1]))
    if detail["loc"][-1:] == ("[key]",):
        pattern = detail.get("ctx", {}).get("pattern")
        allowed = f"keys that match {pattern}" if pattern else _lower(detail["msg"])
        return Complaint(path, "a key that won't do", allowed)
    found = _found(value, kind, path, form)
    if kind == UNKNOWN_REFERENCE:
        found += detail["ctx"]["hint"]
    return Complaint(path, found, _allowed(detail, path, form))


def missing(path: KeyPath, form: Form) -> Complaint:
    """Say that a key is required, and what it is for."""
    purpose = form.summary(path)
    words = form.describe(path) or "this key"
    return Complaint(path, "nothing", f"{words} ({purpose})" if purpose else words)


def unknown(path: KeyPath, known: Iterable[str]) -> Complaint:
    """Say that a key means nothing here; suggest the nearest."""
    names = list(known)
    allowed = f"one of: {', '.join(names)}" if names else "no keys here"
    return Complaint(path, f"an unknown key{nearest(str(path[-1]), names)}", allowed)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name that was probably meant, as a hint in brackets; "" if none."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _follow(
    location: tuple[int | str, ...], raw: Any, *, absent: bool
) -> tuple[KeyPath, Any]:
    """Return the path that the user wrote, and what stands there.

    pydantic adds steps of its own, such as the members of a union: they can't be
    followed. An absent key can't either, but is the last step.
    """
    path: KeyPath = ()
    value = raw
    for step in location[:-1] if absent else location:
        if _has(value, step):
            path, value = (*path, step), value[step]
    return ((*path, location[-1]), None) if absent else (path, value)


def _has(value: Any, step: int | str) -> bool:
    if isinstance(step, int):
        return isinstance(value, list) and step < len(value)
    return isinstance(value, Mapping) and step in value


def _found(value: Any, kind: str, path: KeyPath, form: Form) -> str:
    if form.is_secret(path):
        what = "a secret" if isinstance(value, Mapping) else name_of(value)
        return f"{what} that won't do"
    if kind in _AUTHORS and isinstance(value, Mapping):
        return "keys that do not go together"
    # A list is shown by its size alone; whatever else could be a secret, by its type.
    hidden = form.hides_secret(path) and not isinstance(value, list)
    return name_of(value) if hidden else show(value)


def show(value: Any) -> str:
    """Show a value with its type, shortened; lists and tables only by size."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            text = repr(value)
            return f"text {text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}"
        case int() | float():
            return f"{name_of(value).split()[1]} {value}"
        case datetime() | date() | time():
            return f"{type(value).__name__} {value.isoformat()}"
        case [_, *_]:
            return f"a list of {len(value)}"
    return name_of(value)


def _allowed(detail: ErrorDetails, path: KeyPath, form: Form) -> str:
    kind = detail["type"]
    if kind in _AUTHORS:
        return str(detail["ctx"]["error"])
    if kind not in _OWN and not kind.startswith("path_"):
        return detail["msg"]
    return form.describe(path) or _lower(detail["msg"])


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
