"""How fast one may send: in all, and to one citizen (*Cloud API: throughput*)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway_whatsapp.simulator.faults import GraphError

_TOO_FAST, _TOO_FAST_FOR_ONE = 130429, 131056


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLimit:
    """One message in ``per_seconds`` to one citizen; ``burst`` may go ahead of it."""

    per_seconds: float = 6.0
    burst: int = 45


@dataclass(slots=True)
class Limits:
    """Counts what each of our numbers sends; without limits it lets all through."""

    clock: Clock
    messages_per_second: float | None = None
    pair: PairLimit | None = None
    _due: dict[tuple[str, str], float] = field(default_factory=dict)

    def count(self, number: str, person: str) -> None:
        """Let one message through.

        Raises:
            GraphError: it comes too soon.

        """
        rate, pair = self.messages_per_second, self.pair
        now = self.clock.monotonic()
        if rate is not None and not self._has_room(now, (number, ""), 1 / rate, rate):
            raise GraphError(_TOO_FAST, "Cloud API message throughput has been reached")
        if pair is not None:
            key = (number, person)
            if not self._has_room(now, key, pair.per_seconds, pair.burst):
                text = "too many messages sent to the same recipient in a short time"
                raise GraphError(_TOO_FAST_FOR_ONE, text)
            self._due[key] = max(now, self._due.get(key, now)) + pair.per_seconds
        if rate is not None:
            key = (number, "")
            self._due[key] = max(now, self._due.get(key, now)) + 1 / rate

    def _has_room(
        self, now: float, key: tuple[str, str], each: float, burst: float
    ) -> bool:
        """Tell whether one more fits (a leaky bucket of ``burst``)."""
        ahead = max(self._due.get(key, now) - now, 0.0)
        return ahead <= (max(burst, 1.0) - 1) * each + 1e-9
