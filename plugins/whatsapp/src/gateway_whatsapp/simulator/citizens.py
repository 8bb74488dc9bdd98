"""Who wrote to us: their windows, their messages, and who of them is blocked."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.clock import Clock
from gateway_whatsapp.people import is_bsuid

WINDOW_SECONDS: Final = 24 * 3600.0

_NOT_DIGIT = re.compile(r"[^0-9]")


def canonical(person: str) -> str:
    """Return the canonical id: digits only, a user id as it is."""
    return person if is_bsuid(person) else _NOT_DIGIT.sub("", person)


@dataclass(slots=True)
class Citizens:
    """Everybody who wrote, under each of their ids."""

    clock: Clock
    blocked: dict[str, dict[str, None]] = field(default_factory=dict)
    """Our number → ids of whom it has blocked, in order."""
    _last: dict[str, float] = field(default_factory=dict)
    _other: dict[str, str] = field(default_factory=dict)
    _messages: set[str] = field(default_factory=set)

    def note(self, payload: Any) -> None:
        """Note who wrote what in a webhook."""
        at = self.clock.monotonic()
        for value in _values(payload):
            for message in value.get("messages", []):
                ids = _ids(message)
                self._last.update(dict.fromkeys(ids, at))
                self._messages.add(str(message.get("id")))
                if len(ids) > 1:
                    self._other |= {ids[0]: ids[1], ids[1]: ids[0]}

    def is_open(self, person: str) -> bool:
        """Tell whether a citizen wrote within the last 24 hours."""
        last = self._last.get(person)
        return last is not None and self.clock.monotonic() - last < WINDOW_SECONDS

    def number_of(self, person: str) -> str:
        """Return a citizen's number, "" if they are known by a user id only."""
        return self._other.get(person, "") if is_bsuid(person) else person

    def sent(self, message_id: str) -> bool:
        """Tell whether a message is a citizen's."""
        return message_id in self._messages

    def is_blocked(self, number: str, person: str) -> bool:
        """Tell whether ``number`` has blocked a citizen, under whichever id."""
        blocked = self.blocked.get(number, {})
        return person in blocked or self._other.get(person) in blocked

    def unblock(self, number: str, person: str) -> None:
        """Take a citizen off the list, under whichever id."""
        blocked = self.blocked.get(number, {})
        blocked.pop(person, None)
        blocked.pop(self._other.get(person, ""), None)

    def let_through(self, payload: Any) -> Any | None:
        """Return what is left of a webhook without those blocked; None if nothing is.

        What is no webhook at all is let through as it is.
        """
        left = copy.deepcopy(payload)
        withheld, kept = 0, 0
        for value in _values(left):
            number = value.get("metadata", {}).get("phone_number_id", "")
            said = value.get("messages", [])
            heard = [each for each in said if not self._silenced(number, each)]
            withheld += len(said) - len(heard)
            kept += len(heard) + len(value.get("statuses", []))
            if "messages" in value:
                value["messages"] = heard
        if not withheld:
            return payload
        return left if kept else None

    def _silenced(self, number: str, message: Any) -> bool:
        return any(self.is_blocked(number, each) for each in _ids(message))


def _ids(message: Any) -> list[str]:
    return [str(message[key]) for key in ("from", "from_user_id") if key in message]


def _values(payload: Any) -> Iterator[dict[str, Any]]:
    """Yield the value of each change."""
    if not isinstance(payload, dict):
        return
    for entry in payload.get("entry", []):
        for change in entry.get("changes", []):
            if isinstance(change.get("value"), dict):
                yield change["value"]
