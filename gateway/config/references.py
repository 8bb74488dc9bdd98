"""Keys that name a service or a channel of the same file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from gateway.config.complaints import UNKNOWN_REFERENCE, nearest
from gateway.model import ChannelId, ServiceId


def refers_to(table: str) -> AfterValidator:
    """Hold a value to the ids of ``[table.<id>]``.

    They come from `ids_of`, as pydantic's validation context. Without one, as when a
    test makes a section by itself, any id will do.
    """

    def check(value: str, info: ValidationInfo) -> str:
        ids: list[str] = (info.context or {}).get(table, [])
        return _one_of(value, ids) if ids else value

    return AfterValidator(check)


def channel_of_type(name: str) -> AfterValidator:
    """Hold a value to the ids of channels of the type ``name``, as `refers_to` does."""

    def check(value: str, info: ValidationInfo) -> str:
        if info.context is None:
            return value
        return _one_of(value, info.context.get(_channels_of(name), []))

    return AfterValidator(check)


def _one_of(value: str, ids: list[str]) -> str:
    if value in ids:
        return value
    raise PydanticCustomError(
        UNKNOWN_REFERENCE,
        "one of: {ids}",
        {"ids": ", ".join(ids) or "(there is none)", "hint": nearest(value, ids)},
    )


def ids_of(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the ids that the file ``data`` gives, for what refers to them.

    Of a table that is wrong or left out there are none: that is a problem of its own,
    and nothing that refers to it can be judged.
    """
    tables = {name: data.get(name) for name in ("channels", "services")}
    ids = {name: list(t) for name, t in tables.items() if isinstance(t, Mapping)}
    for each in ids.get("channels", ()):
        section = data["channels"][each]
        if isinstance(section, Mapping):
            ids.setdefault(_channels_of(section.get("type")), []).append(each)
    return ids


def _channels_of(name: object) -> str:
    return f"channels of type {name}"


ServiceReference = Annotated[ServiceId, Field(min_length=1), refers_to("services")]
"""The id of a service that is configured: ``[services.<id>]``."""

ChannelReference = Annotated[ChannelId, Field(min_length=1), refers_to("channels")]
"""The id of a channel that is configured: ``[channels.<id>]``."""
