"""Object ``interactive``: menus in full, the other kinds by what they must have.

Sources: Meta, *Interactive list messages*, *Interactive reply buttons messages*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from gateway_whatsapp.simulator.contents import Media
from gateway_whatsapp.simulator.strict import NotEmpty, Strict, missing, wrong

_MOST_ROWS = 10

Label = Annotated[str, Field(min_length=1, max_length=20)]
Title = Annotated[str, Field(min_length=1, max_length=24)]


class Body(Strict):
    """The text above the rows of a list."""

    text: Annotated[str, Field(min_length=1, max_length=4096)]


class ShortBody(Strict):
    """The text above buttons, or of another kind."""

    text: Annotated[str, Field(min_length=1, max_length=1024)]


class Footer(Strict):
    """The small text below."""

    text: Annotated[str, Field(min_length=1, max_length=60)]


class TextHeader(Strict):
    """The line above, in bold."""

    type: Literal["text"]
    text: Annotated[str, Field(min_length=1, max_length=60)]


class MediaHeader(Strict):
    """A file above; it is named like its type."""

    type: Literal["image", "video", "document"]
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None

    @model_validator(mode="after")
    def _check_file(self) -> Self:
        if getattr(self, self.type) is None:
            raise missing(self.type)
        return self


class Row(Strict):
    """What can be chosen from a list."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    title: Title
    description: Annotated[str, Field(max_length=72)] = ""


class RowSection(Strict):
    """Rows under a title."""

    title: Annotated[str, Field(max_length=24)] = ""
    rows: Annotated[list[Row], Field(min_length=1)]


class ListAction(Strict):
    """The label that opens the list, and the list."""

    button: Label
    sections: Annotated[list[RowSection], Field(min_length=1, max_length=10)]

    @property
    def rows(self) -> list[Row]:
        """Return the rows of all sections."""
        return [row for section in self.sections for row in section.rows]

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if len(self.sections) > 1 and not all(each.title for each in self.sections):
            raise missing("sections.title")
        if len(self.rows) > _MOST_ROWS:
            raise wrong(f"Total row count exceed max allowed count: {_MOST_ROWS}")
        _require_unique("row id", [row.id for row in self.rows])
        return self


class Reply(Strict):
    """What a button says."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    title: Label


class Button(Strict):
    """A button."""

    type: Literal["reply"]
    reply: Reply


class ButtonAction(Strict):
    """The buttons."""

    buttons: Annotated[list[Button], Field(min_length=1, max_length=3)]

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        _require_unique("button id", [each.reply.id for each in self.buttons])
        _require_unique("button title", [each.reply.title for each in self.buttons])
        return self


class ListMenu(Strict):
    """A list."""

    type: Literal["list"]
    header: TextHeader | None = None
    body: Body
    footer: Footer | None = None
    action: ListAction

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """Return the id and title of each row."""
        return tuple((row.id, row.title) for row in self.action.rows)


class ButtonMenu(Strict):
    """Up to three buttons."""

    type: Literal["button"]
    header: Annotated[TextHeader | MediaHeader, Field(discriminator="type")] | None = (
        None
    )
    body: ShortBody
    footer: Footer | None = None
    action: ButtonAction

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """Return the id and title of each button."""
        replies = [button.reply for button in self.action.buttons]
        return tuple((reply.id, reply.title) for reply in replies)


class Action(BaseModel):
    """What another kind does: only its keys are checked (`_REQUIRED`)."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


_REQUIRED: dict[str, tuple[str, ...]] = {
    "address_message": ("name", "parameters"),
    "call_permission_request": ("name",),
    "catalog_message": ("name",),
    "cta_url": ("name", "parameters"),
    "flow": ("name", "parameters"),
    "location_request_message": ("name",),
    "order_details": ("name", "parameters"),
    "order_status": ("name", "parameters"),
    "product": ("catalog_id", "product_retailer_id"),
    "product_list": ("catalog_id", "sections"),
    "voice_call": ("name",),
}
"""Kind → keys that its action must have."""

_WITHOUT_BODY = frozenset({"product"})


class Special(Strict):
    """A kind that we don't send; the header may be of any type."""

    type: NotEmpty
    header: dict[str, Any] | None = None
    body: ShortBody | None = None
    footer: Footer | None = None
    action: Action

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """Return nothing: nothing can be chosen."""
        return ()

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        required = _REQUIRED.get(self.type)
        if required is None:
            raise wrong(f"{self.type}: no kind of interactive message")
        if self.body is None and self.type not in _WITHOUT_BODY:
            raise missing("body")
        for key in required:
            if key not in (self.action.model_extra or {}):
                raise missing(f"action.{key}")
        return self


def _kind_of(value: Any) -> str | None:
    """Name the model that a value is read by; none without a type."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", "")
    if kind is None:
        return None
    return kind if kind in {"list", "button"} else "special"


Interactive = Annotated[
    Annotated[ListMenu, Tag("list")]
    | Annotated[ButtonMenu, Tag("button")]
    | Annotated[Special, Tag("special")],
    Discriminator(_kind_of),
]


def _require_unique(what: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values):
        raise wrong(f"Duplicated {what}")
