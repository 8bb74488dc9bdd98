"""The simulator's 24-hour windows: open for a day after each message of a citizen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gateway.clock import Clock

WINDOW_SECONDS: Final = 24 * 3600.0


@dataclass(slots=True)
class Windows:
    """When each citizen last wrote, under each of their ids."""

    clock: Clock
    _last: dict[str, float] = field(default_factory=dict)

    def note(self, value: Any) -> None:
        """Note who wrote in a webhook's ``value``."""
        at = self.clock.monotonic()
        people = value.get("messages", []) if isinstance(value, dict) else []
        for message in people:
            for key in ("from", "from_user_id"):
                if key in message:
                    self._last[str(message[key])] = at

    def is_open(self, person: str) -> bool:
        """Tell whether a citizen wrote within the last 24 hours."""
        last = self._last.get(person)
        return last is not None and self.clock.monotonic() - last < WINDOW_SECONDS
