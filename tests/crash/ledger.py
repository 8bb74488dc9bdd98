"""The judge: an outside ledger of what was sent, acknowledged and effected.

It never belongs to the daemon under test. Every line is flushed to disk before the
thing it tells is acted upon, so that it survives whatever the daemon does not.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Ledger:
    """What the outside world saw."""

    path: Path
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    attempts: list[tuple[str, str]] = field(default_factory=list)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    by_message: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, kind: str, *values: str) -> None:
        """Write a line, durably."""
        with self.path.open("a") as file:
            file.write(json.dumps([kind, *values]) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def note_sent(self, message: str) -> None:
        """Note that a message was sent to the gateway (perhaps again)."""
        self.sent.add(message)

    def note_acknowledged(self, message: str) -> None:
        """Note that the gateway said it has the message."""
        self.note("acknowledged", message)
        self.acknowledged.add(message)

    def note_attempt(self, target: str, key: str, message: str) -> None:
        """Note a hand-over; one key has one effect, as the target promises."""
        self.attempts.append((target, key))
        if (target, key) not in self.effects:
            self.by_message[target, message] += 1
        self.effects[target, key] += 1
