"""The simulator's files: ids that stay, addresses that expire."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock
from gateway_whatsapp.simulator.faults import GraphError

URL_SECONDS = 300.0
"""How long the address of a file is good (Meta: 5 minutes)."""


_KINDS: dict[str, tuple[int, frozenset[str]]] = {
    "image": (5_242_880, frozenset({"image/jpeg", "image/png"})),
    "audio": (
        16_777_216,
        frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}),
    ),
    "video": (16_777_216, frozenset({"video/mp4", "video/3gpp"})),
    "sticker": (512_000, frozenset({"image/webp"})),
    "document": (
        104_857_600,
        frozenset(
            {
                "text/plain",
                "application/pdf",
                "application/msword",
                "application/vnd.ms-excel",
                "application/vnd.ms-powerpoint",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            }
        ),
    ),
}
"""Kind → most bytes, media types (Meta, *Cloud API: supported media types*).

On purpose not what the channel uses: one must find the other's mistakes.
"""

_WRONG_FILE = 131053


def require_kind(media_type: str, size: int, kind: str | None = None) -> None:
    """Refuse a file that Meta does not take, at all or as ``kind``.

    Raises:
        GraphError: as Meta refuses it.

    """
    essence = media_type.partition(";")[0]
    for name, (most, types) in _KINDS.items():
        if essence in types and kind in {None, name}:
            if size <= most:
                return
            raise GraphError(_WRONG_FILE, f"{name}: larger than {most} bytes")
    raise GraphError(_WRONG_FILE, f"{essence} is no {kind or 'supported type'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """A file that a citizen has sent."""

    id: str
    content: bytes
    mime_type: str

    @property
    def sha256(self) -> bytes:
        """Return the digest of the content."""
        return hashlib.sha256(self.content).digest()

    def object(self, **more: Any) -> dict[str, Any]:
        """Return what a webhook says of the file: digest in base64."""
        digest = base64.b64encode(self.sha256).decode()
        return {"mime_type": self.mime_type, "sha256": digest, "id": self.id, **more}

    def metadata(self, url: str) -> dict[str, Any]:
        """Return what ``GET /{media-id}`` says: digest in hex, size as text."""
        return {
            "messaging_product": "whatsapp",
            "url": url,
            "mime_type": self.mime_type,
            "sha256": self.sha256.hex(),
            "file_size": str(len(self.content)),
            "id": self.id,
        }


@dataclass(slots=True)
class MediaLibrary:
    """Files by id, and the addresses given out for them."""

    clock: Clock
    expiring: int = 0
    """How many of the next addresses have expired when they are given out."""
    _media: dict[str, Medium] = field(default_factory=dict)
    _urls: dict[str, tuple[str, float]] = field(default_factory=dict)

    def add(self, content: bytes, mime_type: str) -> Medium:
        """Keep a file under a new id."""
        media_id = str(10**15 + secrets.randbelow(9 * 10**15))
        medium = Medium(id=media_id, content=content, mime_type=mime_type)
        self._media[media_id] = medium
        return medium

    def get(self, media_id: str) -> Medium | None:
        """Return a file."""
        return self._media.get(media_id)

    def remove(self, media_id: str) -> None:
        """Forget a file, as Meta does after some days."""
        del self._media[media_id]

    def address(self, medium: Medium, *, expired: bool = False) -> str:
        """Return a new key under which the file can be had for a while."""
        key = secrets.token_urlsafe(16)
        good_for = 0.0 if expired or self.expiring else URL_SECONDS
        self.expiring = max(self.expiring - 1, 0)
        self._urls[key] = (medium.id, self.clock.monotonic() + good_for)
        return key

    def at(self, key: str) -> Medium | None:
        """Return the file behind an address, None if it has expired."""
        media_id, until = self._urls.get(key, ("", 0.0))
        return self.get(media_id) if self.clock.monotonic() < until else None
