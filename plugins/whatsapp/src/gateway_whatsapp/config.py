"""Configuration of the channel.

The core has replaced ``{ env = "NAME" }`` by a `SecretStr` before validation.
"""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from yarl import URL

from gateway.plugin import UNIQUE, Section
from gateway_whatsapp.versions import is_version

META_MEDIA_HOSTS = ("lookaside.fbsbx.com", "fbcdn.net", "fbsbx.com", "whatsapp.net")
"""Hosts from which Meta serves media; subdomains count."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_safe(url: URL) -> bool:
    """Tell whether a token may be sent to ``url``: TLS, or this machine itself."""
    if url.user is not None or url.password is not None or not url.host:
        return False
    return url.scheme == "https" or (url.scheme == "http" and url.host in _LOOPBACK)


def _base_url(value: str) -> str:
    """Return ``value`` without a slash at its end, if it is an address we may use."""
    try:
        url = URL(value)
    except ValueError:
        url = URL()
    if not is_safe(url) or not is_version(url.path.rstrip("/").rpartition("/")[2]):
        message = "https://host/vNN.0, with a version (http only for a loopback host)"
        raise ValueError(message)
    if {"?", "#"} & set(value):
        raise ValueError("an address without ? and #")
    return value.rstrip("/")


Secret = Annotated[SecretStr, Field(min_length=1)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$")]


def _parameter(value: str) -> str:
    """Return ``value`` if all its places are ones that we can fill."""
    try:
        names = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
    except ValueError:
        names = {""}
    if not names <= {"number", "text"}:
        raise ValueError("text with the places {number} and {text}, or without")
    return value


class Template(Section):
    """A template that Meta has approved."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,512}$")]
    """Name of the template in Meta's WhatsApp manager."""

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")] = "it"
    """Language that it was approved in."""

    parameters: tuple[Annotated[str, AfterValidator(_parameter)], ...] = ()
    """What goes into {{1}}, {{2}} …: ``{number}`` of the case, ``{text}`` of ours."""


class Templates(Section):
    """Which template says what, once 24 hours have passed since the citizen wrote."""

    answer: Template | None = None
    """An office's answer."""

    notice: Template | None = None
    """That a message has arrived, under which number."""

    rejection: Template | None = None
    """That a message is not accepted, and why."""

    campaign: Template | None = None
    """A notice to many citizens (``gateway campaign``); it has no number."""


class WhatsAppConfig(Section):
    """``[channels.<id>] type = "whatsapp"``: one WhatsApp Business number."""

    phone_number_id: Annotated[
        str, Field(pattern=r"^[0-9]{1,32}$", json_schema_extra={UNIQUE: True})
    ]
    """Id of the number in Meta's WhatsApp manager (not the number itself)."""

    token: Secret
    """Access token of a system user with permission whatsapp_business_messaging."""

    business_account_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}$")] | None = None
    """Id of the WhatsApp Business account: lets ``gateway check`` look at the webhook's
    subscription and the templates (permission whatsapp_business_management)."""

    app_secrets: Annotated[list[Secret], Field(min_length=1, max_length=2)]
    """Secret of the app, which signs the webhooks; a second one while it changes."""

    verify_token: Secret
    """Word of your own choice that Meta repeats when you register the webhook."""

    base_url: Annotated[str, AfterValidator(_base_url)] = (
        "https://graph.facebook.com/v25.0"
    )
    """Address of the Graph API, with its version."""

    media_hosts: tuple[Host, ...] = META_MEDIA_HOSTS
    """Hosts from which attachments are fetched, with our token; subdomains count."""

    templates: Templates = Templates()
    """What is sent after 24 hours; without one, staff see what could not be sent."""

    messages_per_second: Annotated[float, Field(gt=0, le=1000)] = 80.0
    """What Meta lets the number send: 80, up to 1000, 20 beside the phone app."""

    read_marks: Literal["answer", "notice", "never"] = "answer"
    """What shows the citizen that their message was read: the office's answer, or
    already our notice."""

    mirror_blocks: bool = True
    """Whether Meta is told who is blocked; nothing can be sent to them then, either."""

    timeout: Annotated[float, Field(gt=0, le=120)] = 20.0
    """Seconds that a request to the Graph API may take."""

    @property
    def version(self) -> str:
        """Return the version in `base_url`, such as ``v25.0``."""
        return self.base_url.rpartition("/")[2]

    def keys(self) -> list[bytes]:
        """Return the secrets that sign webhooks, as they are now."""
        return [secret.get_secret_value().encode() for secret in self.app_secrets]
