"""What the Cloud API takes: strict models of ``POST /{phone-number-id}/messages``.

Made after Meta's published schema (business-messaging-api v23.0): its 50 request
examples are a test of these.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from gateway.payload import Payload
from gateway_whatsapp.simulator.contents import (
    Contact,
    Media,
    Place,
    Reaction,
    Template,
    Text,
)
from gateway_whatsapp.simulator.faults import GraphError
from gateway_whatsapp.simulator.interactive import Interactive
from gateway_whatsapp.simulator.strict import (
    MISSING,
    TYPE,
    NotEmpty,
    Strict,
    missing,
    refusal,
)

MEDIA_TYPES = frozenset({"audio", "document", "image", "sticker", "video"})
TYPES = MEDIA_TYPES | {
    "contacts",
    "interactive",
    "location",
    "reaction",
    "template",
    "text",
}


class Quoted(Strict):
    """Object ``context``: the message that is answered."""

    message_id: NotEmpty


class Send(Strict):
    """A message to be sent; an object named like its type comes with it."""

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
    interactive: Interactive | None = None
    location: Place | None = None
    contacts: Annotated[list[Contact], Field(min_length=1)] | None = None
    reaction: Reaction | None = None
    context: Quoted | None = None
    biz_opaque_callback_data: Annotated[str, Field(max_length=512)] | None = None

    @model_validator(mode="after")
    def _check_recipient(self) -> Self:
        if self.to is None and self.recipient is None:
            raise missing("to")
        return self

    @property
    def person(self) -> str:
        """Return whom it goes to; if both are given, ``to`` wins."""
        return self.to or self.recipient or ""

    @property
    def content(self) -> Any:
        """Return the object named like the type."""
        return getattr(self, self.type)

    @property
    def media(self) -> Media | None:
        """Return the file, if this is one."""
        content = self.content
        return content if isinstance(content, Media) else None

    @property
    def words(self) -> str:
        """Return what the citizen reads: the text, or that of a menu."""
        if self.interactive is not None and self.interactive.body is not None:
            return self.interactive.body.text
        return self.text.body if self.text else ""


class TypingIndicator(Strict):
    """That we are typing."""

    type: Literal["text"]


class MarkRead(Strict):
    """The other thing one can post: read, and that we are typing."""

    messaging_product: Literal["whatsapp"]
    status: Literal["read"]
    message_id: NotEmpty
    typing_indicator: TypingIndicator | None = None


def read_request(payload: Payload) -> Send | MarkRead:
    """Read a request as Meta would.

    Raises:
        GraphError: Meta would refuse it.

    """
    try:
        if payload.has("status"):
            return MarkRead.model_validate(payload.value)
        _require_type(payload.value)
        send = Send.model_validate(payload.value)
    except ValidationError as error:
        raise refusal(error) from None
    if send.content is None:
        raise GraphError(MISSING, f"{send.type}: missing")
    return send


def _require_type(value: Any) -> None:
    kind = value.get("type", "text") if isinstance(value, dict) else "text"
    if isinstance(kind, str) and kind not in TYPES:
        raise GraphError(TYPE, f"type: {kind!r} is not supported")
