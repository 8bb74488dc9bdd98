"""What the Cloud API takes: strict models of ``POST /{phone-number-id}/messages``.

Made after Meta's published schema (business-messaging-api v23.0): its 50 request
examples are a test of these. Texts and files are checked in full, of the other types
only that their object is there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.payload import Payload
from gateway_whatsapp.simulator.faults import GraphError

MISSING, WRONG, PARAMETER, TYPE = 131008, 131009, 100, 131051
"""Codes of Meta's (*Cloud API error codes*)."""

TYPES = frozenset(
    {
        "audio",
        "contacts",
        "document",
        "image",
        "interactive",
        "location",
        "order",
        "reaction",
        "sticker",
        "template",
        "text",
        "video",
    }
)


MEDIA_TYPES = frozenset({"audio", "document", "image", "sticker", "video"})


class _Strict(BaseModel):
    """No coercion, nothing unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Text(_Strict):
    """Object ``text``."""

    body: Annotated[str, Field(min_length=1, max_length=4096)]
    preview_url: bool = False


class Media(_Strict):
    """Object ``image``, ``audio``, ``video``, ``document`` or ``sticker``."""

    id: Annotated[str, Field(min_length=1)] | None = None
    link: Annotated[str, Field(min_length=1)] | None = None
    caption: Annotated[str, Field(max_length=1024)] | None = None
    filename: str | None = None

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.id is None) == (self.link is None):
            message = "one of id and link is required"
            raise ValueError(message)
        return self


class Language(_Strict):
    """Object ``language`` of a template."""

    code: Annotated[str, Field(min_length=1)]
    policy: Literal["deterministic"] = "deterministic"


class Component(BaseModel):
    """One of ``components``: the parameters of header, body or a button."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    type: Literal["header", "body", "button"]
    parameters: list[dict[str, Any]] = []


class Template(_Strict):
    """Object ``template``."""

    name: Annotated[str, Field(min_length=1)]
    language: Language
    components: list[Component] = []

    @property
    def texts(self) -> list[str]:
        """Return the texts that go into the body."""
        return [
            str(parameter.get("text", ""))
            for component in self.components
            if component.type == "body"
            for parameter in component.parameters
        ]


class Quoted(_Strict):
    """Object ``context``: the message that is answered."""

    message_id: Annotated[str, Field(min_length=1)]


class Send(BaseModel):
    """A message to be sent; an object named like its type comes with it."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    messaging_product: Literal["whatsapp"]
    recipient_type: Literal["individual", "group"] = "individual"
    to: Annotated[str, Field(pattern=r"^\+?[0-9][0-9 ()-]{4,24}$")] | None = None
    recipient: (
        Annotated[str, Field(pattern=r"^[A-Z]{2}\.[A-Za-z0-9]{1,128}$")] | None
    ) = None
    type: str = "text"
    text: Text | None = None
    image: Media | None = None
    audio: Media | None = None
    video: Media | None = None
    document: Media | None = None
    sticker: Media | None = None
    template: Template | None = None
    context: Quoted | None = None
    biz_opaque_callback_data: Annotated[str, Field(max_length=512)] | None = None

    @model_validator(mode="after")
    def _check_recipient(self) -> Self:
        if self.to is None and self.recipient is None:
            message = "to: Field required"
            raise ValueError(message)
        return self

    @property
    def person(self) -> str:
        """Return whom it goes to; if both are given, ``to`` wins."""
        return self.to or self.recipient or ""

    @property
    def content(self) -> Any:
        """Return the object named like the type."""
        if self.type in {"text", "template"} or self.type in MEDIA_TYPES:
            return getattr(self, self.type)
        return (self.model_extra or {}).get(self.type)

    @property
    def media(self) -> Media | None:
        """Return the file, if this is one."""
        content = self.content
        return content if isinstance(content, Media) else None


class MarkRead(_Strict):
    """The other thing one can post: read, and that we are typing."""

    messaging_product: Literal["whatsapp"]
    status: Literal["read"]
    message_id: Annotated[str, Field(min_length=1)]
    typing_indicator: dict[str, str] | None = None


def read_request(payload: Payload) -> Send | MarkRead:
    """Read a request as Meta would.

    Raises:
        GraphError: Meta would refuse it.

    """
    try:
        if payload.has("status"):
            return MarkRead.model_validate(payload.value)
        send = Send.model_validate(payload.value)
    except ValidationError as error:
        raise _refusal(error) from None
    if send.type not in TYPES:
        raise GraphError(TYPE, f"type: {send.type!r} is not supported")
    if send.content is None:
        raise GraphError(MISSING, f"{send.type}: missing")
    unknown = set(send.model_extra or {}) - {send.type}
    if unknown:
        raise GraphError(PARAMETER, f"unexpected keys {sorted(unknown)}")
    return send


def _refusal(error: ValidationError) -> GraphError:
    """Return the first complaint in Meta's terms."""
    first = error.errors(include_url=False)[0]
    path = ".".join(str(step) for step in first["loc"])
    missing = first["type"] in {"missing", "value_error"}
    code = MISSING if missing else WRONG
    if first["type"] in {"extra_forbidden", "string_too_long", "model_type"}:
        code = PARAMETER
    return GraphError(code, f"{path or 'request'}: {first['msg']}")
