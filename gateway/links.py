"""Signed links to files that are too large for the way they would have gone.

A link names a message, one of its files and the last day on which it works; it proves
by its signature that we gave it to somebody, and says nothing about whom.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from itsdangerous import BadData, URLSafeSerializer

from gateway.errors import NotFound

FOLDER: Final = "files"
_SALT = b"municipal-gateway file links v1"
_SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a link is good for: the file at ``position`` of a message, until a day."""

    message_id: str
    position: int
    last_day: date


class Links:
    """Makes links and reads them again."""

    def __init__(self, base_url: str, key: str, days: int, timezone: ZoneInfo) -> None:
        """Sign with ``key``; a link works ``days`` days, counted in ``timezone``."""
        self._base = base_url.rstrip("/")
        self._serializer = URLSafeSerializer(key, _SALT, signer_kwargs=_SIGNER)
        self._days = timedelta(days=days)
        self._timezone = timezone

    def last_day(self, created_at: datetime) -> date:
        """Return the last day of what is sent with a delivery made at ``created_at``.

        Counted from there, so that every attempt says the same.
        """
        return (created_at.astimezone(self._timezone) + self._days).date()

    def url(self, ticket: Ticket) -> str:
        """Return the link."""
        facts = [ticket.message_id, ticket.position, ticket.last_day.isoformat()]
        token = self._serializer.dumps(facts)
        return f"{self._base}/{FOLDER}/{token}"

    def read(self, token: str) -> Ticket:
        """Return what a token is good for, or was; compared in constant time.

        Raises:
            NotFound: we did not sign it.

        """
        try:
            message_id, position, day = self._serializer.loads(token)
        except BadData:
            raise NotFound("no link of ours") from None
        return Ticket(
            message_id=message_id, position=position, last_day=date.fromisoformat(day)
        )

    def is_over(self, ticket: Ticket, at: datetime) -> bool:
        """Tell whether its last day has passed."""
        return at.astimezone(self._timezone).date() > ticket.last_day
