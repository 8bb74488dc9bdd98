"""Configuration of the plugin, of its channel and of its connector.

The core has replaced ``{ env = "NAME" }`` by a `SecretStr` before validation.
"""

from __future__ import annotations

import ssl
from email import headerregistry
from email.errors import MessageError
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    field_validator,
    model_validator,
)

from gateway.plugin import Section
from gateway_email import stationery
from gateway_email.folder_names import folded
from gateway_email.reply_token import ENCODED_LENGTH

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LOCAL_PART_OCTETS = 64
"""Longest local part of an address (RFC 5321 §4.5.3.1.1)."""


def is_address(value: str) -> bool:
    """Tell whether ``value`` is one plain ASCII address, ``name@domain``."""
    try:
        address = headerregistry.Address(addr_spec=value)
    except (MessageError, ValueError, IndexError):
        return False
    return bool(address.username and address.domain) and value.isascii()


def _address(value: str) -> str:
    """Return ``value`` if it is one plain address."""
    if not is_address(value):
        message = "not an address: write name@domain, without a display name"
        raise ValueError(message)
    return value


def _reply_base(value: str) -> str:
    """Return ``value`` if a reply token still fits into its local part."""
    room = LOCAL_PART_OCTETS - ENCODED_LENGTH - len("+")
    if len(value.partition("@")[0]) > room:
        message = f"the part before @ may have {room} characters at most"
        raise ValueError(message)
    return value


def _templates(folder: Path) -> Path:
    """Return ``folder`` if every template in it can be filled in."""
    if found := stationery.problems(folder):
        raise ValueError("templates that can be filled in; " + "; ".join(found))
    return folder


Domain = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*$"),
]
MailAddress = Annotated[str, AfterValidator(_address)]
ReplyAddress = Annotated[MailAddress, AfterValidator(_reply_base)]


FolderName = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _token_url(url: str) -> str:
    """Refuse an address to which no secret may be sent."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError("an address with https://")
    return url


class OAuth2Config(Section):
    """How to get tokens for an account at a provider that wants no password."""

    token_url: Annotated[str, AfterValidator(_token_url)]
    """Token endpoint of the provider."""

    client_id: Annotated[str, Field(min_length=1)]
    """Id of the app that the city has registered there."""

    client_secret: SecretStr | None = None
    """Secret of the app."""

    refresh_token: SecretStr | None = None
    """Token by which the account has agreed; without one the app logs in by itself."""

    scope: str = ""
    """What the tokens are for, as the provider calls it."""

    @model_validator(mode="after")
    def _check_grant(self) -> Self:
        if self.client_secret is None and self.refresh_token is None:
            raise ValueError("client_secret, refresh_token or both")
        return self


class _Account(Section):
    """How to reach and enter a mail server."""

    host: str
    """Name of the server; its certificate must bear it."""

    username: str | None = None
    """Account to log in as."""

    password: SecretStr | None = None
    """Password of the account: ``{ env = "NAME" }`` or ``{ file = "path" }``."""

    oauth2: OAuth2Config | None = None
    """Instead of a password: tokens of a large provider (XOAUTH2, OAUTHBEARER)."""

    cafile: FilePath | None = None
    """Certificates to trust instead of the system's (PEM)."""

    timeout: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Seconds that any one step may take."""

    def tls_context(self) -> ssl.SSLContext:
        """Return a context that checks the server's certificate and name."""
        return ssl.create_default_context(cafile=self.cafile)

    def _refuse_bare_password(self, security: str) -> None:
        secret = self.password or self.oauth2
        if security == "none" and secret and self.host not in LOOPBACK:
            message = "a password needs TLS: set security to tls (or use a local host)"
            raise ValueError(message)
        if self.password and self.oauth2:
            raise ValueError("password or oauth2, not both")
        if self.oauth2 and not self.username:
            raise ValueError("oauth2 together with username")


class EmailSettings(_Account):
    """``[plugins.email]``: the account that sends, and the city's own addresses."""

    port: Annotated[int, Field(ge=1, le=65535)] = 465
    """465 for ``security = "tls"``, 587 for ``"starttls"``."""

    security: Literal["tls", "starttls", "none"] = "tls"
    """How the connection is protected; ``none`` is for a server on this machine."""

    data_timeout: Annotated[float, Field(gt=0, le=1200)] = 600.0
    """Seconds to wait for the reply to the final dot (RFC 5321 §4.5.3.2.6)."""

    sender: MailAddress
    """Address in From."""

    sender_name: str = "URP"
    """Name in From."""

    reply_to: ReplyAddress
    """Address of the mailbox that the channel reads; answers come to
    ``name+token@domain``, so the server must deliver plus-addresses."""

    domain: Domain
    """Domain of our Message-IDs; never change it: answers refer to it."""

    key: Annotated[SecretStr, Field(min_length=16)]
    """Secret that signs reply addresses, 16 characters at least."""

    max_bytes: Annotated[int, Field(gt=0)] = 18_000_000
    """Attachments up to this sum are sent along (base64 adds a third)."""

    domain_concurrency: Annotated[int, Field(ge=1, le=100)] = 4
    """Mails at once to the citizens of one domain: a slow one stops no other."""

    templates: Annotated[DirectoryPath, AfterValidator(_templates)] | None = None
    """Folder whose files replace the plugin's own templates, one by one."""

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        self._refuse_bare_password(self.security)
        return self


class EmailChannelConfig(_Account):
    """``[channels.<id>] type = "email"``: a mailbox that citizens and offices use."""

    username: str
    """Account to log in as."""

    port: Annotated[int, Field(ge=1, le=65535)] = 993
    """993 for ``security = "tls"``."""

    security: Literal["tls", "none"] = "tls"
    """How the connection is protected; ``none`` is for a server on this machine."""

    folders: Annotated[tuple[FolderName, ...], Field(min_length=1, max_length=20)] = (
        "INBOX",
    )
    """Folders to collect from, each on a connection of its own."""

    done_folder: FolderName | None = None
    """Folder to move collected mail to; without one it stays, flagged as seen."""

    idle_seconds: Annotated[float, Field(gt=0, le=1740)] = 240.0
    """How long one IDLE lasts; a dead connection is noticed after that long."""

    max_bytes: Annotated[int, Field(gt=0)] = 25_000_000
    """Larger mail is left in the folder, flagged, and shown by the health."""

    authserv_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")] | None = None
    """Name by which your mail server signs ``Authentication-Results`` (RFC 8601);
    ``exchange-online`` for Microsoft 365. It must remove foreign fields of that name.
    Without it, offices are known by their From alone."""

    @field_validator("folders")
    @classmethod
    def _check_twice(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(map(folded, folders))) < len(folders):
            message = "each folder once"
            raise ValueError(message)
        return folders

    @model_validator(mode="after")
    def _check_done_folder(self) -> Self:
        if self.done_folder in self.folders:
            message = "done_folder must not be one of folders"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if not self.password and not self.oauth2:
            raise ValueError("password or oauth2, one of them")
        self._refuse_bare_password(self.security)
        return self


class EmailConnectorConfig(Section):
    """A service that is reached by e-mail."""

    to: Annotated[list[MailAddress], Field(min_length=1)]
    """Addresses of the office."""

    senders: list[MailAddress] | None = None
    """Who may answer for the office; the addresses in ``to`` if not given."""
