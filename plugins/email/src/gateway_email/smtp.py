"""SMTP submission: one connection for each mail, every step under a deadline.

aiosmtplib serves one mail at a time on a connection and may hang on a kept one (its
issues 15 and 243), hence no pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage

import aiosmtplib

from gateway.connections import explain
from gateway.errors import DeliveryError
from gateway_email.config import EmailSettings
from gateway_email.oauth2 import CANCEL, TokenError, Tokens, oauthbearer

_PERMANENT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The server's word on one recipient it did not take."""

    address: str
    code: int
    at_data: bool = False

    @property
    def is_permanent(self) -> bool:
        """Tell whether trying again is useless (RFC 5321 §4.2.1)."""
        return self.code >= _PERMANENT


async def submit(  # noqa: PLR0913 (what a mail needs to go, named)
    settings: EmailSettings,
    mail: EmailMessage,
    recipients: Sequence[str],
    *,
    envelope_id: str = "",
    together: bool = False,
    tokens: Tokens | None = None,
) -> list[Refusal]:
    """Send a mail; return the recipients that the server did not take it for.

    ``together``: if one is refused, nobody gets it.

    A refusal of the mail itself is one of each recipient that was accepted before it.
    Where the server knows RFC 3461, reports will bear ``envelope_id`` and no text.

    Raises:
        DeliveryError: the server has not taken it at all, or the end is unknown.

    """
    octets = await asyncio.to_thread(mail.as_bytes)
    async with _connection(settings, tokens) as smtp:
        options = _options(smtp, len(octets), envelope_id)
        try:
            await smtp.mail(settings.sender, options=options)
            refusals = await _offer(smtp, recipients)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _not_taken(error) from None
        refused = {each.address for each in refusals}
        accepted = [address for address in recipients if address not in refused]
        if together and refused:
            return refusals
        if accepted and (code := await _send_data(smtp, octets, settings.data_timeout)):
            refusals += [Refusal(address=a, code=code, at_data=True) for a in accepted]
        return refusals


async def probe(settings: EmailSettings, tokens: Tokens | None = None) -> int | None:
    """Connect, greet and log in; send nothing.

    Returns the largest mail that the server announces to take (RFC 1870), in octets.

    Raises:
        DeliveryError: that failed.

    """
    async with _connection(settings, tokens) as smtp:
        try:
            await smtp.noop()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _not_taken(error) from None
        announced = smtp.esmtp_extensions.get("size", "").strip()
        return int(announced) or None if announced.isdecimal() else None


@asynccontextmanager
async def _connection(
    settings: EmailSettings, tokens: Tokens | None
) -> AsyncIterator[aiosmtplib.SMTP]:
    """Connect and log in; hang up at the end."""
    smtp = _client(settings)
    try:
        try:
            async with asyncio.timeout(settings.timeout * 2):
                await smtp.connect()
                await smtp.ehlo()
                if tokens is not None:
                    await _bear(smtp, settings, tokens)
        except TokenError as error:
            raise DeliveryError(
                "smtp_login", str(error), retryable=True, account=True
            ) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _not_taken(error) from None
        yield smtp
        await _quit(smtp)
    finally:
        smtp.close()


async def _bear(smtp: aiosmtplib.SMTP, settings: EmailSettings, tokens: Tokens) -> None:
    """Log in with a token; one that is refused is renewed once."""
    token = await tokens.token()
    try:
        await _authenticate(smtp, settings, token)
    except aiosmtplib.SMTPAuthenticationError:
        token = await tokens.token(refused=token)
        await _authenticate(smtp, settings, token)


async def _authenticate(
    smtp: aiosmtplib.SMTP, settings: EmailSettings, token: str
) -> None:
    user = settings.username or ""
    if "oauthbearer" not in smtp.server_auth_methods:
        await smtp.auth_xoauth2(user, token)
        return
    first = oauthbearer(user, settings.host, settings.port, token)
    said = await smtp.execute_command(b"AUTH", b"OAUTHBEARER", first.encode())
    if said.code == aiosmtplib.SMTPStatus.auth_continue:
        said = await smtp.execute_command(CANCEL.encode())
    if said.code != aiosmtplib.SMTPStatus.auth_successful:
        raise aiosmtplib.SMTPAuthenticationError(said.code, said.message)


def _client(settings: EmailSettings) -> aiosmtplib.SMTP:
    password = settings.password
    return aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        username=None if settings.oauth2 else settings.username,
        password=password.get_secret_value() if password else None,
        local_hostname=settings.domain,
        timeout=settings.timeout,
        use_tls=settings.security == "tls",
        start_tls=settings.security == "starttls",
        tls_context=None if settings.security == "none" else settings.tls_context(),
    )


def _options(smtp: aiosmtplib.SMTP, size: int, envelope_id: str) -> list[str]:
    options = [f"SIZE={size}"] if smtp.supports_extension("size") else []
    if envelope_id and smtp.supports_extension("dsn"):
        options += ["RET=HDRS", f"ENVID={envelope_id}"]
    return options


async def _offer(smtp: aiosmtplib.SMTP, recipients: Sequence[str]) -> list[Refusal]:
    """Name the recipients; return those that the server refused."""
    refusals = []
    for address in recipients:
        try:
            await smtp.rcpt(address)
        except aiosmtplib.SMTPRecipientRefused as error:
            refusals.append(Refusal(address=address, code=error.code))
    return refusals


async def _send_data(smtp: aiosmtplib.SMTP, octets: bytes, timeout: float) -> int:  # noqa: ASYNC109 (handed to the library, per reply)
    """Send the mail itself; return the code of its refusal, 0 if it was taken.

    From here on a lost connection leaves the end unknown.
    """
    try:
        await smtp.data(octets, timeout=timeout)
    except aiosmtplib.SMTPResponseException as error:
        return error.code
    except (aiosmtplib.SMTPException, OSError) as error:
        kind = type(error).__name__
        text = f"no reply to the mail's end ({kind}): it may have been taken"
        raise DeliveryError(
            "smtp_unknown", text, retryable=True, unknown=True
        ) from None
    return 0


async def _quit(smtp: aiosmtplib.SMTP) -> None:
    """Say goodbye; the mail has been taken, so nothing here is an error."""
    try:
        await smtp.quit(timeout=2.0)
    except (aiosmtplib.SMTPException, OSError):
        return


def _not_taken(error: Exception) -> DeliveryError:
    """Judge an error that came before the mail was sent."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        text = f"login refused ({error.code}): check username and password"
        return DeliveryError("smtp_login", text, retryable=True, account=True)
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        text = f"{error}: check security, username and password"
        return DeliveryError("smtp_login", text, retryable=True, account=True)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refused("smtp_refused", error.code)
    text = f"no connection: {explain(error)}"
    return DeliveryError("smtp_unreachable", text, retryable=True)


def _refused(code: str, reply: int) -> DeliveryError:
    return DeliveryError(code, f"server says {reply}", retryable=reply < _PERMANENT)
