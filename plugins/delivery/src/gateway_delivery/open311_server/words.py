"""What citizens are told, kept until their program asks for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.model import Outgoing
from gateway.plugin import PluginState

_SLOTS: Final = {"answer": "notes", "notice": "notice", "rejection": "notice"}
"""Which of the deliveries' purposes can be shown, and where."""
_KINDS: Final = tuple(dict.fromkeys(_SLOTS.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One thing that was said, and when."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The latest of each kind: an office's, and ours, as that it has been accepted.

    Later than ``asked_at`` are those that came while the case was being read.
    """

    asked_at: datetime
    notes: Word | None = None
    notice: Word | None = None


class KeptWords:
    """What was said of the requests of one channel."""

    def __init__(self, state: PluginState) -> None:
        """Keep it in ``state``."""
        self._state = state

    async def keep(self, outgoing: Outgoing) -> None:
        """Keep the latest; what comes again changes nothing."""
        slot = _SLOTS.get(outgoing.purpose)
        if slot is None:
            return
        key = _key(outgoing.to.value, slot)
        at = outgoing.created_at.astimezone(UTC).isoformat(timespec="microseconds")
        said = {"at": at, "delivery": outgoing.delivery_id, "text": outgoing.text}
        before = await self._state.get(key)
        if before is None or _order(before) < _order(said):
            await self._state.put(key, said)

    async def of(self, tokens: Collection[str], asked_at: datetime) -> dict[str, Words]:
        """Return what was said of each of some requests, asked for at a time."""
        keys = [_key(token, slot) for token in tokens for slot in _KINDS]
        kept = await self._state.get_many(keys)
        return {
            token: Words(asked_at=asked_at, **dict(_found(token, kept)))
            for token in tokens
        }


def _key(token: str, slot: str) -> str:
    return f"{slot}/{token}"


def _order(said: Mapping[str, Any]) -> tuple[str, str]:
    """Return what grows with time: deliveries of one moment have growing ids."""
    return said["at"], said["delivery"]


def _found(token: str, kept: Mapping[str, Any]) -> Iterator[tuple[str, Word]]:
    for slot in _KINDS:
        said = kept.get(_key(token, slot))
        if said is not None:
            at = datetime.fromisoformat(said["at"])
            yield slot, Word(text=said["text"], at=at)
