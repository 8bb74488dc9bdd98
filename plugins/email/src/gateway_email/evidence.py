"""What proves that somebody has seen a mail of ours: ids that nobody can guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from gateway.model import DeliveryId
from gateway_email import reply_token

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TOKEN = re.compile(
    rf"(?<![a-z2-7])[a-z2-7]{{{reply_token.ENCODED_LENGTH}}}(?![a-z2-7])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Finds our deliveries in foreign text: by Message-ID or by a signed token."""

    key: bytes
    domain: str

    def find(self, texts: Iterable[str]) -> set[DeliveryId]:
        """Return the deliveries that are named in ``texts``."""
        return {found for text in texts for found in self._named(text.lower())}

    def _named(self, text: str) -> Iterator[DeliveryId]:
        domain = re.escape(self.domain.lower())
        for match in re.finditer(rf"({_UUID})@{domain}(?![a-z0-9.-]*[a-z0-9])", text):
            yield DeliveryId(match[1])
        for match in _TOKEN.finditer(text):
            signed: UUID | None = reply_token.decode(match[0], self.key)
            if signed is not None:
                yield DeliveryId(str(signed))


def own_message_id(delivery_id: UUID, domain: str) -> str:
    """Return the Message-ID of one of our deliveries, the same at every attempt."""
    return f"<{delivery_id}@{domain}>"
