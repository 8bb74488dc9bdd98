"""One HTTP request to a service's system, and what its end means."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from gateway.connections import explain
from gateway.errors import DeliveryError
from gateway.plugin import Context

_LONGEST_PAUSE: Final = 24 * 3600.0
_MOST_BYTES: Final = 16 * 1024 * 1024
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
_LATER = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_NOTHING_DONE = {HTTPStatus.SERVICE_UNAVAILABLE, *_LATER}
_ACCOUNT = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a system answered: its status, and the beginning of the body."""

    status: int
    body: bytes
    retry_after: float | None = None


def is_safe(url: str) -> bool:
    """Tell whether personal data may go to ``url``: encrypted, or on this machine."""
    try:
        parts = urlsplit(url)
        secret = parts.username or parts.password or parts.fragment
        plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    except ValueError:
        return False
    return bool(parts.hostname) and not secret and (plain or parts.scheme == "https")


def trusted(cafile: Path | None) -> ssl.SSLContext:
    """Return whom to believe: the system's authorities, or the city's own."""
    return ssl.create_default_context(cafile=cafile)


async def call(
    context: Context[Any],
    method: str,
    url: str,
    *,
    timeout: float,  # noqa: ASYNC109 (handed to the library)
    tls: ssl.SSLContext,
    **options: Any,
) -> Answer:
    """Ask once, following nobody elsewhere.

    Connecting gets half of the time: when the whole has run out, the request had gone
    out.

    Raises:
        DeliveryError: no answer came; ``unknown`` if the request may have arrived.

    """
    patience = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
    try:
        async with context.http.request(
            method, url, timeout=patience, ssl=tls, allow_redirects=False, **options
        ) as response:
            body = await _beginning(response.content)
            after = response.headers.get("Retry-After", "")
            return Answer(
                status=response.status,
                body=body,
                retry_after=_seconds(after, context.clock.now()),
            )
    except _NOT_SENT as error:
        raise DeliveryError("unreachable", explain(error), retryable=True) from error
    except _BROKEN as error:
        text = f"the request went out, no answer came ({type(error).__name__})"
        raise DeliveryError("no_answer", text, retryable=True, unknown=True) from error


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """Read a body, of a very long one the beginning."""
    body = bytearray()
    async for chunk in content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > _MOST_BYTES:
            break
    return bytes(body)


def require_success(answer: Answer, said: str = "") -> None:
    """Return if the other side took it; ``said`` is its own reason, if it gave one.

    Raises:
        DeliveryError: it didn't, with the decision as data.

    """
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    redirected = status < HTTPStatus.BAD_REQUEST
    text = f"it answers {status}"
    if redirected:
        text += ", another address: configure that one"
    raise DeliveryError(
        "redirected" if redirected else f"http_{status}",
        f"{text}: {said}" if said else text,
        retryable=server or status in _LATER,
        unknown=server and status not in _NOTHING_DONE,
        account=redirected or status in _ACCOUNT,
        retry_after=answer.retry_after,
    )


def _seconds(value: str, now: datetime) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110 §10.2.3)."""
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _LONGEST_PAUSE)
    try:
        seconds = (parsedate_to_datetime(value) - now).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
