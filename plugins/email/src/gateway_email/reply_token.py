"""Signed reply addresses: ``urp+<token>@comune.it`` names one delivery.

The token is in the lower-case base32 alphabet, since servers lower-case local parts
(RFC 5233): 16 octets of the delivery's UUID and 10 octets of an HMAC-SHA256.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b32decode, b32encode
from uuid import UUID

_ID_OCTETS = 16
_MAC_OCTETS = 10
ENCODED_LENGTH = 42
"""Characters of a token: 26 octets in base32."""

_PURPOSE = b"municipal-gateway reply address v1"


def encode(delivery_id: UUID, key: bytes) -> str:
    """Return the token of a delivery."""
    identity = delivery_id.bytes
    text = b32encode(identity + _sign(identity, key)).decode("ascii")
    return text.rstrip("=").lower()


def decode(token: str, key: bytes) -> UUID | None:
    """Return the delivery that a token names, None if we did not sign it."""
    if len(token) != ENCODED_LENGTH or not token.isascii():
        return None
    try:
        octets = b32decode(token.upper() + "=" * (-ENCODED_LENGTH % 8))
    except binascii.Error:
        return None
    identity, mac = octets[:_ID_OCTETS], octets[_ID_OCTETS:]
    if not hmac.compare_digest(mac, _sign(identity, key)):
        return None
    return UUID(bytes=identity)


def address(base: str, token: str) -> str:
    """Return ``base`` with the token as its plus-part."""
    local, _, domain = base.rpartition("@")
    return f"{local}+{token}@{domain}"


def _sign(identity: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + identity, "sha256")[:_MAC_OCTETS]
