"""The JSON Schema of the configuration file, for editors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from types import GenericAlias
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field, WithJsonSchema, create_model

from gateway.config.base import Section
from gateway.config.form import is_secret
from gateway.config.loading import CORE, Kinds, ServiceTable
from gateway.config.section import ID_PATTERN, MAY_BE_PLAIN

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECRET_NAME = "a secret"  # noqa: S105 (no class of a plugin can have this name)
_SECRET: dict[str, Any] = {
    "description": "A secret, named and not written here.",
    "oneOf": [
        {
            "type": "object",
            "properties": {name: {"type": "string", "minLength": 1}},
            "required": [name],
            "additionalProperties": False,
        }
        for name in ("env", "file")
    ],
}
_KEPT = ("title", "description")

_Id = Annotated[str, Field(pattern=ID_PATTERN)]
_Nothing = Annotated[Any, WithJsonSchema({"not": {}})]


def schema(kinds: Kinds) -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a file that may use these types."""
    made: dict[str, Any] = _adapted(_file(kinds).model_json_schema())
    definitions = {_SECRET_NAME: _SECRET, **made.pop("$defs", {})}
    return {
        "$schema": _DIALECT,
        **made,
        "title": "municipal-gateway",
        "$defs": definitions,
    }


def _file(kinds: Kinds) -> type[Section]:
    """Put together a model of the whole file; nothing is ever read with it."""
    connectors: Any = GenericAlias(list, (_one_of(kinds.connectors),))
    one = Field(min_length=1, max_length=1, description="How the office is reached.")
    service = create_model(
        "Service", __base__=ServiceTable, connectors=(connectors, one)
    )
    channels = GenericAlias(dict, (_Id, _one_of(kinds.channels)))
    services = GenericAlias(dict, (_Id, service))
    tables: dict[str, Any] = {
        **{name: _table(kind) for name, kind in CORE.items()},
        "channels": (channels, Field(min_length=1, description="By id.")),
        "services": (services, Field(min_length=1, description="By id.")),
        "plugins": _table(_plugins(kinds)),
    }
    return create_model("File", __base__=Section, **tables)


def _table(kind: type[Section]) -> tuple[Any, Any]:
    """Return the field of a table, which may be left out if all its keys may."""
    needed = any(field.is_required() for field in kind.model_fields.values())
    return kind, Field() if needed else Field(default_factory=kind)


def _plugins(kinds: Kinds) -> type[Section]:
    tables: dict[str, Any] = {
        name: _table(each) for name, each in kinds.plugins.items()
    }
    return create_model("Plugins", __base__=Section, **tables)


def _one_of(kinds: Mapping[str, type[Section]]) -> Any:
    """Return the union of the types, each with its name under ``type``."""
    named = [_named(name, kind) for name, kind in sorted(kinds.items())]
    return functools.reduce(operator.or_, named) if named else _Nothing


def _named(name: str, kind: type[Section]) -> Any:
    constant = Literal[name]  # type: ignore[valid-type]  # known at run time only
    return create_model(
        kind.__name__, __base__=kind, __doc__=kind.__doc__, type=(constant, ...)
    )


def _adapted(value: Any) -> Any:
    """Return a schema as TOML has it: secrets named, keys held to their pattern."""
    if isinstance(value, list):
        return [_adapted(each) for each in value]
    if not isinstance(value, dict):
        return value
    if not is_secret(value):
        made = {key: _adapted(each) for key, each in value.items()}
        if "patternProperties" in made:
            # pydantic refuses other keys, and leaves it at that in the schema.
            made.setdefault("additionalProperties", False)
        return made
    kept = {key: value[key] for key in _KEPT if key in value}
    reference = {"$ref": f"#/$defs/{quote(_SECRET_NAME)}"}
    if value.get(MAY_BE_PLAIN):
        return {**kept, "anyOf": [{"type": "string"}, reference]}
    return {**kept, **reference}
