"""Types of channels and connectors as plugins would bring them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator

from gateway.config import UNIQUE, ChannelReference, Kinds, Section, ServiceReference

SECRET = "hunter2-from-the-environment"


class PostChannel(Section):
    host: str
    """Name of the server."""
    password: SecretStr
    """Password of the mailbox."""
    port: Annotated[int, Field(ge=1, le=65535)] = 993
    security: Literal["tls", "starttls", "none"] = "tls"


class Rule(Section):
    word: str
    """What to look for."""
    token: SecretStr | None = None
    score: Annotated[float, Field(ge=0, le=1)] = 1.0


def _quoting(value: SecretStr) -> SecretStr:
    """Judge as a careless author would: by quoting the value."""
    if value.get_secret_value().startswith("hunter2"):
        message = f"not {value.get_secret_value()}"
        raise ValueError(message)
    return value


Room = Annotated[str, Field(pattern="^r[0-9]+$")]


class HookChannel(Section):
    """A channel that has every kind of field."""

    tokens: Annotated[list[SecretStr], Field(min_length=1, max_length=2)]
    """Tokens of the caller."""
    key: Annotated[SecretStr, Field(min_length=40)] | None = None
    quoted: Annotated[SecretStr, AfterValidator(_quoting)] | None = None
    rules: tuple[Rule, ...] = ()
    by_name: Annotated[dict[str, SecretStr], Field(default_factory=dict)]
    rooms: Annotated[dict[Room, int], Field(default_factory=dict)]
    certificate: FilePath | None = None
    retry: Annotated[int, Field(ge=1, le=9)] | Literal["never"] = 3
    opened: date | None = None
    user: str | None = None
    number: Annotated[str, Field(pattern="^[0-9]+$")] | None = None
    line: Annotated[str, Field(json_schema_extra={UNIQUE: True})] = "first"

    @model_validator(mode="after")
    def _check(self) -> HookChannel:
        if self.user and not self.key:
            message = "a user needs a key"
            raise ValueError(message)
        return self


class PostConnector(Section):
    to: Annotated[list[str], Field(min_length=1)]
    """Addresses of the office."""


class Desk(Section):
    service: ServiceReference
    channel: ChannelReference | None = None


class PostPlugin(Section):
    """A plugin that refers to services and channels, wherever in its section."""

    sender: str = "urp@comune.it"
    desks: tuple[Desk, ...] = ()
    by_office: Annotated[dict[ServiceReference, int], Field(default_factory=dict)]


KINDS = Kinds(
    channels={"post": PostChannel, "hook": HookChannel},
    connectors={"post": PostConnector},
    plugins={"post": PostPlugin},
)


@pytest.fixture(scope="session")
def kinds() -> Kinds:
    """Types with every kind of field."""
    return KINDS


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """The secret that the environment holds."""
    monkeypatch.setenv("TEST_PASSWORD", SECRET)
    return SECRET
