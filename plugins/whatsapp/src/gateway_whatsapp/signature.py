"""Who sent a webhook: Meta, or somebody who does not know the app's secret. Pure.

Source: Meta, *Webhooks: validate payloads*. The header ``X-Hub-Signature-256`` is
``sha256=`` and the HMAC-SHA256 of the raw body, in lower-case hex.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

HEADER = "X-Hub-Signature-256"
_PREFIX = "sha256="


def sign(body: bytes, secret: bytes) -> str:
    """Return the header's value for ``body``."""
    return _PREFIX + hmac.digest(secret, body, "sha256").hex()


def verify(body: bytes, header: str, secrets: Iterable[bytes]) -> bool:
    """Tell whether one of ``secrets`` signed ``body``; in constant time.

    Every secret is tried, so that the time does not tell which one matched.
    """
    given = header.encode("utf-8", "surrogateescape")
    known = False
    for secret in secrets:
        known |= hmac.compare_digest(sign(body, secret).encode(), given)
    return known
