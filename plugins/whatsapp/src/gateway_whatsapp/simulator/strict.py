"""How strict models of requests are, and what Meta says to a wrong one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from gateway_whatsapp.simulator.faults import GraphError

MISSING, WRONG, PARAMETER, TYPE = 131008, 131009, 100, 131051
"""Codes of Meta's (*Cloud API error codes*)."""

_MISSING = frozenset({"missing", "union_tag_not_found"})
_PARAMETER = frozenset({"extra_forbidden", "model_type"})

NotEmpty = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    """No coercion, nothing unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def missing(what: str) -> PydanticCustomError:
    """Return what a validator raises for a parameter that has to be there."""
    return PydanticCustomError("missing", "{what}: Field required", {"what": what})


def wrong(what: str) -> PydanticCustomError:
    """Return what a validator raises for a wrong value."""
    return PydanticCustomError("wrong", "{what}", {"what": what})


def refusal(error: ValidationError) -> GraphError:
    """Return the first complaint in Meta's terms."""
    first = error.errors(include_url=False)[0]
    path = ".".join(str(step) for step in first["loc"])
    return GraphError(_code_of(first), f"{path or 'request'}: {first['msg']}")


def _code_of(error: ErrorDetails) -> int:
    if error["type"] in _MISSING:
        return MISSING
    if error["type"] in _PARAMETER:
        return PARAMETER
    # Of menus Meta says that a value is not valid, of other texts that the
    # parameter is too long.
    menu = "interactive" in error["loc"]
    return PARAMETER if error["type"] == "string_too_long" and not menu else WRONG
