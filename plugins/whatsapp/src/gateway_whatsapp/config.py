"""Configuration of the channel.

The core has replaced ``{ env = "NAME" }`` by a `SecretStr` before validation.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from yarl import URL

from gateway.plugin import Section

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
    if not is_safe(url):
        message = "write https://host/vNN.0 (http only for a loopback host)"
        raise ValueError(message)
    return value.rstrip("/")


Secret = Annotated[SecretStr, Field(min_length=1)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$")]


class WhatsAppConfig(Section):
    """``[channels.<id>] type = "whatsapp"``: one WhatsApp Business number."""

    phone_number_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}$")]
    """Id of the number in Meta's WhatsApp manager (not the number itself)."""

    token: Secret
    """Access token of a system user with permission whatsapp_business_messaging."""

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

    timeout: Annotated[float, Field(gt=0, le=120)] = 20.0
    """Seconds that a request to the Graph API may take."""
