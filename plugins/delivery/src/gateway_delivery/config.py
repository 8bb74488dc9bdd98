"""Configuration of the connectors, and of the channel by which services answer.

The core has replaced ``{ env = "NAME" }`` by a `SecretStr` before validation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, FilePath, SecretStr

from gateway.plugin import Section
from gateway_delivery.calling import is_safe
from gateway_delivery.signature import key_of

_Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]
_Timeout = Annotated[float, Field(gt=0, le=600)]


def _url(url: str) -> str:
    if not is_safe(url):
        raise ValueError("an address with https://, without user and password")
    return url


def _signing(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


Url = Annotated[str, AfterValidator(_url)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing)]


class MaildropConfig(Section):
    """``{ type = "maildrop", path = "/srv/strade" }``."""

    path: Path
    """Folder where the office finds its messages; it must exist."""

    answers: bool = False
    """Whether who can write into its folder ``answers`` may answer for the office."""


class WebhookConfig(Section):
    """``{ type = "webhook", url = "https://…", secrets = [{ env = "…" }] }``."""

    url: Url
    """Where events are posted; http:// on this machine only."""

    secrets: Annotated[list[SigningSecret], Field(min_length=1, max_length=2)]
    """Secret of Standard Webhooks, ``whsec_…``; two while one replaces the other."""

    timeout: _Timeout = 20
    """Seconds to wait for an answer."""

    cafile: FilePath | None = None
    """Certificates of the city's own authority, if the public ones don't do."""

    source: Annotated[str, Field(min_length=1, pattern=r"^\S+$")] = "/municipal-gateway"
    """The events' ``source``: a URI reference that names this gateway."""


class Open311Config(Section):
    """``{ type = "open311", base_url = "https://…", service_code = "…" }``."""

    base_url: Url
    """Endpoint of the server, up to its version, without ``/requests.json``."""

    api_key: SecretStr | None = None
    """Key that the server wants of who reports."""

    jurisdiction_id: str = ""
    """The city, on a server of several."""

    service_code: Annotated[str, Field(min_length=1)]
    """What reports to this office are, as the server's list of services has it."""

    address_string: Annotated[str, Field(max_length=200)] = ""
    """Place of a report that names none; without it, such reports go another way."""

    moderated: bool = False
    """Whether the server lists a new request only once somebody has looked at it."""

    attributes: Annotated[dict[str, str], Field(default_factory=dict)]
    """Values of the attributes that the server requires for the service."""

    timeout: _Timeout = 20
    """Seconds to wait for an answer."""

    cafile: FilePath | None = None
    """Certificates of the city's own authority, if the public ones don't do."""


class ServicesConfig(Section):
    """``[channels.<id>] type = "services"``: services' systems answer here."""

    poll_seconds: _Seconds = 60
    """How often systems that don't post their answers are asked for them."""
