"""The objects that a message may have, but for `interactive`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway_whatsapp.simulator.strict import NotEmpty, Strict, missing


class Text(Strict):
    """Object ``text``."""

    body: Annotated[str, Field(min_length=1, max_length=4096)]
    preview_url: bool = False


class Media(Strict):
    """Object ``image``, ``audio``, ``video``, ``document`` or ``sticker``."""

    id: NotEmpty | None = None
    link: NotEmpty | None = None
    caption: Annotated[str, Field(max_length=1024)] | None = None
    filename: str | None = None

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.id is None) == (self.link is None):
            raise missing("one of id and link")
        return self


class Language(Strict):
    """Object ``language`` of a template."""

    code: NotEmpty
    policy: Literal["deterministic"] = "deterministic"


class Component(BaseModel):
    """One of ``components``: the parameters of header, body or a button."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    type: Literal["header", "body", "button"]
    parameters: list[dict[str, Any]] = Field(default_factory=list)


class Template(Strict):
    """Object ``template``."""

    name: NotEmpty
    language: Language
    components: list[Component] = Field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """Return the texts that go into the body."""
        return [
            str(parameter.get("text", ""))
            for component in self.components
            if component.type == "body"
            for parameter in component.parameters
        ]


class Place(Strict):
    """Object ``location``."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    name: str | None = None
    address: str | None = None


class Reaction(Strict):
    """Object ``reaction``; an empty emoji takes it back."""

    message_id: NotEmpty
    emoji: str


class Name(Strict):
    """How a contact is called."""

    formatted_name: NotEmpty
    first_name: str | None = None
    last_name: str | None = None
    middle_name: str | None = None
    suffix: str | None = None
    prefix: str | None = None

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        parts = self.model_dump(exclude={"formatted_name"}, exclude_none=True)
        if not parts:
            raise missing("one part of the name beside formatted_name")
        return self


class ContactAddress(Strict):
    """Where a contact lives or works."""

    street: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None
    country_code: str | None = None
    type: str | None = None


class Email(Strict):
    """A contact's e-mail address."""

    email: NotEmpty
    type: str | None = None


class Phone(Strict):
    """A contact's telephone."""

    phone: NotEmpty
    type: str | None = None
    wa_id: str | None = None


class Url(Strict):
    """A contact's web site."""

    url: NotEmpty
    type: str | None = None


class Organisation(Strict):
    """Whom a contact works for."""

    company: str | None = None
    department: str | None = None
    title: str | None = None


class Contact(Strict):
    """One of ``contacts``."""

    name: Name
    addresses: list[ContactAddress] = Field(default_factory=list)
    birthday: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    emails: list[Email] = Field(default_factory=list)
    org: Organisation | None = None
    phones: list[Phone] = Field(default_factory=list)
    urls: list[Url] = Field(default_factory=list)
