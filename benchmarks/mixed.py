"""A day's mix of webhooks into the daemon itself, against the floor F."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from city import build
from figures import Figure, compare
from load import Loaded, wrk
from mix import MEDIA, write_mix
from processes import daemon, free_port, server

SECONDS = 4.0
LOAD = 60_000
FILE_BYTES = 50_000
AT_LEAST = 0.60


def measure(rounds: int) -> list[Figure]:
    """Run floor, intake alone and the daemon in turn, all with the same mix."""
    floor, intake, whole = [], [], []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        load = write_mix(folder / "load", LOAD)
        for number in range(rounds):
            place = folder / str(number)
            place.mkdir()
            floor.append(_floor(load))
            intake.append(_intake(load, place))
            whole.append(_daemon(load, place))
    rows = (("mixed-intake", intake, None), ("mixed-daemon", whole, AT_LEAST))
    return [
        compare(
            name,
            [run.per_second for run in runs],
            [run.per_second for run in floor],
            unit="webhooks/s",
            against="the floor F with the same mix",
            at_least=promise,
        )
        for name, runs, promise in rows
    ]


def _floor(load: Path) -> Loaded:
    port = free_port()
    with server("floor", port):
        return wrk(f"http://127.0.0.1:{port}/webhook", load, SECONDS)


def _intake(load: Path, folder: Path) -> Loaded:
    port = free_port()
    with server("intake", port, f"sqlite:///{folder}/intake.db", folder):
        return wrk(f"http://127.0.0.1:{port}/channels/urp/webhook", load, SECONDS)


def _daemon(load: Path, folder: Path) -> Loaded:
    """Send to ``gateway run``, which meanwhile works off what it has taken in."""
    port, sink, media = free_port(), free_port(), free_port()
    files = folder / "files"
    files.mkdir()
    (files / MEDIA).write_bytes(os.urandom(FILE_BYTES))
    city = build(folder / "city", port, sink, media=media)
    with server("sink", sink), server("media", media, files), daemon(city, port):
        return wrk(f"http://127.0.0.1:{port}/channels/urp/webhook", load, SECONDS)
