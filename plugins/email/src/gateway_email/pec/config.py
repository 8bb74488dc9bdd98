"""Configuration of a PEC mailbox, and of an office that is reached by PEC."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.model import ChannelId
from gateway.plugin import Section, channel_of_type
from gateway_email.config import LOOPBACK, EmailChannelConfig, MailAddress
from gateway_email.pec import trust


def _trust_list(path: Path) -> Path:
    """Refuse a trust list that can't be read."""
    trust.load(path)
    return path


TrustList = Annotated[Path, AfterValidator(_trust_list)]


class Submission(Section):
    """``[channels.<id>.smtp]``: the provider's server that takes what we write."""

    host: str
    """Name of the server; its certificate must bear it."""

    port: Annotated[int, Field(ge=1, le=65535)] = 465
    """465 for ``security = "tls"``, 587 for ``"starttls"``."""

    security: Literal["tls", "starttls", "none"] = "tls"
    """How the connection is protected; ``none`` is for a server on this machine."""


class PecChannelConfig(EmailChannelConfig):
    """``[channels.<id>] type = "pec"``: a mailbox of registered mail.

    Account and password are those of both servers.
    """

    password: SecretStr
    """Password of the account: ``{ env = "NAME" }`` or ``{ file = "path" }``."""

    address: MailAddress
    """The mailbox's PEC address; what we write comes from it."""

    aliases: tuple[MailAddress, ...] = ()
    """More addresses of the same mailbox."""

    sender_name: str | None = None
    """Name in From; that of ``[plugins.email]`` if not given."""

    smtp: Submission
    """Where what we write is handed in."""

    trust: TrustList
    """Certificates whose signatures are believed: a PEM bundle, or a folder."""

    allow_sha1: bool = False
    """Whether signatures by SHA-1 are believed; collisions can be bought."""

    receipt: Literal["completa", "breve", "sintetica"] = "completa"
    """What a receipt of delivery encloses: all, hashes of the files, nothing."""

    attachment_bytes: Annotated[int, Field(gt=0)] = 20_000_000
    """Attachments up to this sum are sent along; a provider takes 30 MB at least, for
    all recipients together."""

    max_bytes: Annotated[int, Field(gt=0)] = 45_000_000
    """Larger mail is left in the folder, flagged, and shown by the health."""

    @model_validator(mode="after")
    def _check_submission(self) -> Self:
        """Refuse to send the password in clear to another machine."""
        if self.smtp.security == "none" and self.smtp.host not in LOOPBACK:
            message = "a password needs TLS: set smtp.security to tls (or a local host)"
            raise ValueError(message)
        return self


class PecConnectorConfig(Section):
    """A service that is reached by PEC."""

    channel: Annotated[ChannelId, channel_of_type("pec")]
    """The PEC mailbox that writes: the id of a channel of type ``pec``."""

    to: Annotated[list[MailAddress], Field(min_length=1)]
    """PEC addresses of the office."""

    senders: list[MailAddress] | None = None
    """Who may answer for the office; the addresses in ``to`` if not given."""
