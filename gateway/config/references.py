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
        if ids and value not in ids:
            raise PydanticCustomError(
                UNKNOWN_REFERENCE,
                "one of: {ids}",
                {"ids": ", ".join(ids), "hint": nearest(value, ids)},
            )
        return value

    return AfterValidator(check)


def ids_of(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the ids that the file ``data`` gives, for what refers to them.

    Of a table that is wrong or left out there are none: that is a problem of its own,
    and nothing that refers to it can be judged.
    """
    tables = {name: data.get(name) for name in ("channels", "services")}
    return {name: list(t) for name, t in tables.items() if isinstance(t, Mapping)}


ServiceReference = Annotated[ServiceId, Field(min_length=1), refers_to("services")]
"""The id of a service that is configured: ``[services.<id>]``."""

ChannelReference = Annotated[ChannelId, Field(min_length=1), refers_to("channels")]
"""The id of a channel that is configured: ``[channels.<id>]``."""
