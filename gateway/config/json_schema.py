"""The JSON Schema of the configuration file, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from gateway.config.loading import CORE, Kinds
from gateway.config.section import Section

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = "^[a-z][a-z0-9_-]{0,39}$"
_SECRET: dict[str, Any] = {
    "description": "A secret, named and not written here.",
    "oneOf": [
        {
            "type": "object",
            "properties": {name: {"type": "string"}},
            "required": [name],
            "additionalProperties": False,
        }
        for name in ("env", "file")
    ],
}


def schema(kinds: Kinds) -> dict[str, Any]:
    """Return the schema of a file that may use these types."""
    core = {name: _of(kind) for name, kind in CORE.items()}
    return {
        "$schema": _DIALECT,
        "title": "municipal-gateway",
        "type": "object",
        "properties": {
            **core,
            "channels": _by_id(_any_of(kinds.channels), at_least=1),
            "services": _by_id(_service(kinds), at_least=1),
            "plugins": {
                "type": "object",
                "properties": {name: _of(kind) for name, kind in kinds.plugins.items()},
                "additionalProperties": False,
            },
        },
        "required": ["gateway", "channels", "services"],
        "additionalProperties": False,
    }


def _of(kind: type[BaseModel]) -> dict[str, Any]:
    """Return a section's schema; nested definitions stay inside it."""
    made = kind.model_json_schema(ref_template=f"#{kind.__name__}/{{model}}")
    definitions = made.pop("$defs", {})
    return {k: _inlined(v, definitions, kind.__name__) for k, v in made.items()}


def _inlined(value: Any, definitions: Mapping[str, Any], owner: str) -> Any:
    """Put definitions in place of references, and of secrets what names them."""
    if isinstance(value, list):
        return [_inlined(each, definitions, owner) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("writeOnly") and value.get("format") == "password":
        plain = [{"type": "string"}] if value.get("x-may-be-plain") else []
        return {"anyOf": [*plain, _SECRET]} if plain else _SECRET
    reference = value.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(f"#{owner}/")
        return _inlined(definitions[name], definitions, owner)
    return {key: _inlined(each, definitions, owner) for key, each in value.items()}


def _any_of(kinds: Mapping[str, type[Section]]) -> dict[str, Any]:
    return {"oneOf": [_typed(name, kind) for name, kind in sorted(kinds.items())]}


def _typed(name: str, kind: type[Section]) -> dict[str, Any]:
    """Return a section's schema with the ``type`` that chooses it."""
    made = _of(kind)
    properties = {"type": {"const": name}, **made.get("properties", {})}
    required = ["type", *made.get("required", [])]
    return {**made, "properties": properties, "required": required}


def _service(kinds: Kinds) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "connectors": {
                "type": "array",
                "minItems": 1,
                "items": _any_of(kinds.connectors),
            },
        },
        "required": ["name", "connectors"],
        "additionalProperties": False,
    }


def _by_id(each: dict[str, Any], *, at_least: int) -> dict[str, Any]:
    return {
        "type": "object",
        "patternProperties": {_ID: each},
        "additionalProperties": False,
        "minProperties": at_least,
    }
