"""Signatures of Standard Webhooks, symmetric (``v1``); pure.

Source: https://www.standardwebhooks.com, *spec/standard-webhooks.md*: ``v1,`` and the
base64 of the HMAC-SHA256 of ``id.timestamp.body``; several signatures stand in one
header, so that a secret can be replaced by another.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from gateway.errors import GatewayError

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE: Final = timedelta(minutes=5)

_PREFIX = "whsec_"
_LONGEST_ID = 256
_MOST_SIGNATURES = 16
_DIGITS = 12


class Refused(GatewayError):
    """Nobody who knows a secret has signed this, now; the text says what is wrong."""


def key_of(secret: str) -> bytes:
    """Return the key in ``whsec_…``.

    Raises:
        ValueError: it is no base64 of 24 to 64 octets.

    """
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:  # noqa: PLR2004 (the specification's bounds)
        raise ValueError("a secret of Standard Webhooks, whsec_ and 24 to 64 octets")
    return key


def sign(message_id: str, at: datetime, body: bytes, secrets: Iterable[str]) -> str:
    """Return the header's value: a signature by each of ``secrets``."""
    signed = _signed(message_id, str(int(at.timestamp())), body)
    return " ".join(_sign(signed, secret) for secret in secrets)


def headers(
    message_id: str, at: datetime, body: bytes, secrets: Iterable[str]
) -> dict[str, str]:
    """Return the three headers of an attempt at ``at``."""
    return {
        ID: message_id,
        TIMESTAMP: str(int(at.timestamp())),
        SIGNATURE: sign(message_id, at, body, secrets),
    }


def verify(
    given: Mapping[str, str], body: bytes, secrets: Iterable[str], now: datetime
) -> str:
    """Return the id of a webhook that somebody who knows a secret signed just now.

    Every secret is tried, and compared in constant time.

    Raises:
        Refused: nobody did.

    """
    message_id, timestamp = given.get(ID, ""), given.get(TIMESTAMP, "")
    if not message_id or len(message_id) > _LONGEST_ID or not message_id.isprintable():
        raise Refused("webhook-id is missing or no id")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _DIGITS):
        raise Refused("webhook-timestamp is missing or no number of seconds")
    signed = _signed(message_id, timestamp, body)
    known = False
    signatures = given.get(SIGNATURE, "").split(" ")[:_MOST_SIGNATURES]
    claims = [each.encode("utf-8", "surrogateescape") for each in signatures]
    for secret in secrets:
        expected = _sign(signed, secret).encode()
        for claim in claims:
            known |= hmac.compare_digest(expected, claim)
    if not known:
        raise Refused("webhook-signature is missing or wrong")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise Refused("webhook-timestamp is not of these five minutes: check the clock")
    return message_id


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    head = f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape")
    return head + body


def _sign(signed: bytes, secret: str) -> str:
    mac = hmac.digest(key_of(secret), signed, "sha256")
    return f"v1,{base64.b64encode(mac).decode()}"
