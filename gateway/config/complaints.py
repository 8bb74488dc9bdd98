"""What pydantic finds wrong, said to somebody who runs a city hall."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.config.document import KeyPath, name_of

_TYPES = {
    "string_type": "a text",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "path_type": "a path",
    "string_too_short": "a text that is not empty",
    "finite_number": "a finite number",
}
_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_LONGEST = 60


def explain(
    detail: ErrorDetails, kind: type[BaseModel], base: KeyPath
) -> tuple[KeyPath, str, str]:
    """Return where a problem is, what was found, and what is allowed."""
    path = (*base, *_real(detail["loc"], detail["type"]))
    field = _field(kind, detail["loc"])
    if detail["type"] == "missing":
        return path, "nothing", _wanted(field)
    return path, _shown(detail["input"], field), _allowed(detail, field)


def _real(location: tuple[int | str, ...], kind: str) -> tuple[int | str, ...]:
    """Leave out what pydantic adds to a path: names of union members."""
    del kind
    return tuple(
        step for step in location if isinstance(step, int) or step.isidentifier()
    )


def _field(kind: type[BaseModel], location: tuple[int | str, ...]) -> FieldInfo | None:
    """Return the field that a location names, through nested sections."""
    field: FieldInfo | None = None
    model: type[BaseModel] | None = kind
    for step in location:
        if isinstance(step, int) or model is None:
            continue
        field = model.model_fields.get(step, field)
        model = _model_of(field)
    return field


def _model_of(field: FieldInfo | None) -> type[BaseModel] | None:
    for each in _members(field.annotation if field else None):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _members(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, types.UnionType, list, tuple}:
        for each in get_args(annotation):
            yield from _members(each)
    else:
        yield annotation


def _is_secret(field: FieldInfo | None) -> bool:
    return field is not None and SecretStr in set(_members(field.annotation))


def _shown(value: Any, field: FieldInfo | None) -> str:
    """Show a value, shortened; never one of a secret field."""
    if _is_secret(field):
        return name_of(value)
    if isinstance(value, Mapping):
        return "a table"
    text = repr(value).replace("True", "true").replace("False", "false")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _allowed(detail: ErrorDetails, field: FieldInfo | None) -> str:
    kind = detail["type"]
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"])
        return f"one of: {expected.replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind in _BOUNDS or kind.startswith(("int_", "float_")):
        return _range(field) or _TYPES.get(kind, detail["msg"])
    if kind in {"too_short", "too_long"}:
        bound = "min_length" if kind == "too_short" else "max_length"
        words = "at least" if kind == "too_short" else "at most"
        return f"a list of {words} {detail['ctx'][bound]}"
    return _TYPES.get(kind) or detail["msg"][0].lower() + detail["msg"][1:]


def _wanted(field: FieldInfo | None) -> str:
    """Say what a missing key should hold: its description, if it has one."""
    if field is None or not field.description:
        return "this key is required"
    sentence = field.description.splitlines()[0].rstrip(".")
    return f"required: {sentence}"


def _range(field: FieldInfo | None) -> str:
    """Return the bounds of a numeric field in words."""
    if field is None:
        return ""
    noun = "an integer" if field.annotation is int else "a number"
    parts = [
        text
        for bound in field.metadata
        for kind, text in (
            (Gt, f"greater than {getattr(bound, 'gt', '')}"),
            (Ge, f"at least {getattr(bound, 'ge', '')}"),
            (Lt, f"less than {getattr(bound, 'lt', '')}"),
            (Le, f"at most {getattr(bound, 'le', '')}"),
        )
        if isinstance(bound, kind)
    ]
    return f"{noun}, {' and '.join(parts)}" if parts else noun
