"""Stored messages, decided again: what would today's plugins do differently?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.app import Gateway
from gateway.config import Settings
from gateway.errors import PayloadError
from gateway.host import PluginHost
from gateway.model import Inbound, Message
from gateway.pipeline import Decider

_NOTHING = "no message"
"""What can't be read, or says something other than a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A message that would fare differently today."""

    message: str
    then: str
    now: str

    def row(self) -> dict[str, Any]:
        """Return it for a table."""
        return asdict(self)


class Replay:
    """Runs stored originals through parsers and plugins, without any effect."""

    def __init__(self, settings: Settings, host: PluginHost) -> None:
        """Replay with the plugins of ``host``."""
        self._settings = settings
        self._host = host

    async def compare(
        self, items: Sequence[Inbound], decided: Mapping[str, Any]
    ) -> list[Difference]:
        """Return the differences between what was decided and what would be."""
        gateway = Gateway(self._settings, self._host)
        decider = Decider(self._host, self._settings.gateway.default_service)
        async with gateway.plugins_only():
            return [
                difference
                for item in items
                if (difference := await _compare(gateway, decider, item, decided))
            ]


async def _compare(
    gateway: Gateway, decider: Decider, item: Inbound, decided: Mapping[str, Any]
) -> Difference | None:
    then = _then(decided.get(item.id))
    now = await _now(gateway, decider, item)
    # A message that joined a case went where the case was, whatever the rules say.
    joined = decided.get(item.id) is not None and decided[item.id].source == "gateway"
    if joined:
        then, now = then.split(" ")[0], now.split(" ")[0]
    return None if then == now else Difference(message=item.id, then=then, now=now)


def _then(row: Any) -> str:
    return f"{row.state} {row.service}" if row is not None else _NOTHING


async def _now(gateway: Gateway, decider: Decider, item: Inbound) -> str:
    channel = gateway.channels.get(item.channel)
    if channel is None:
        return _NOTHING
    try:
        message = await channel.read(item)
    except PayloadError:
        return _NOTHING
    if not isinstance(message, Message):
        return _NOTHING
    outcome = await decider.decide(message)
    return f"{outcome.state.value} {outcome.assignment.service}"
