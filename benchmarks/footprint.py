"""Start to ready, and memory when idle, with every plugin of the repository."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from city import build
from figures import Figure, compare
from processes import daemon, free_port, resident_bytes

LIMIT_SECONDS, LIMIT_MIB = 1.0, 110.0
IDLE_SECONDS = 3.0


def measure(rounds: int) -> list[Figure]:
    """Start again and again; the reference is the promise."""
    seconds, mebibytes = [], []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        port = free_port()
        folder = build(Path(name) / "city", port, free_port())
        for number in range(rounds + 1):
            began = time.monotonic()
            with daemon(folder, port) as pid:
                took = time.monotonic() - began
                time.sleep(IDLE_SECONDS)
                weight = resident_bytes(pid) / 2**20
            if number:  # the first start makes the database
                seconds.append(took)
                mebibytes.append(weight)
    rows = (
        ("start", seconds, LIMIT_SECONDS, "s"),
        ("memory", mebibytes, LIMIT_MIB, "MiB"),
    )
    return [
        compare(
            name,
            found,
            [limit] * rounds,
            unit=unit,
            against="the promise",
            at_most=1.0,
        )
        for name, found, limit, unit in rows
    ]
