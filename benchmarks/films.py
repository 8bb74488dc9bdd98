"""Fifty films of 16 MB at once through the daemon: what it grows by."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from city import build
from figures import Figure, compare
from processes import HERE, daemon, free_port, resident_bytes, server

AT_ONCE = 50
LIMIT_MIB = 50e6 / 2**20
PATIENCE = 120.0


def measure(rounds: int) -> list[Figure]:
    """Send them to a new daemon each time."""
    grown, together = [], []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        for number in range(rounds):
            bytes_grown, most = _run(Path(name) / str(number))
            grown.append(bytes_grown / 2**20)
            together.append(float(most))
    return [
        compare(
            "films-memory",
            grown,
            [LIMIT_MIB] * rounds,
            unit="MiB",
            against="the promise",
            at_most=1.0,
        ),
        compare(
            "films-at-once",
            together,
            [float(AT_ONCE)] * rounds,
            unit="films",
            against="sent at once",
            at_least=1.0,
        ),
    ]


def _run(folder: Path) -> tuple[int, int]:
    """Return by how many bytes a daemon grew, and how many films it took at once."""
    port, sink, media = free_port(), free_port(), free_port()
    build(folder, port, sink, media=media)
    webhook = f"http://127.0.0.1:{port}/channels/urp/webhook"
    with (
        server("sink", sink),
        daemon(folder, port) as pid,
        _simulator(media, webhook) as send,
    ):
        send(1)
        _watch(folder, 1)
        time.sleep(1.0)
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        before = resident_bytes(pid, "VmHWM")
        send(AT_ONCE)
        most = _watch(folder, 1 + AT_ONCE)
        return resident_bytes(pid, "VmHWM") - before, most


@contextlib.contextmanager
def _simulator(port: int, webhook: str) -> Iterator[Callable[[int], None]]:
    """Run Meta in a process of its own; yield how to let films be sent."""
    command = [sys.executable, HERE / "servers" / "simulator.py", str(port), webhook]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        to, back = process.stdin, process.stdout
        assert to is not None  # noqa: S101 (for the type checker)
        assert back is not None  # noqa: S101
        back.readline()

        def send(films: int) -> None:
            to.write(f"{films}\n")
            to.flush()

        yield send
        to.close()


def _watch(folder: Path, expected: int) -> int:
    """Wait until the films are stored; return how many were being written at most."""
    most, limit = 0, time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        writing, stored = _count(folder)
        most = max(most, writing)
        if stored >= expected and not writing:
            return most
        time.sleep(0.005)
    raise RuntimeError(f"{stored} of {expected} films stored in {PATIENCE:g} s")


def _count(folder: Path) -> tuple[int, int]:
    """Count files that have begun, and files that are complete."""
    writing = stored = 0
    for file in folder.rglob("attachments/**/*"):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                begun = file.parent.name == "incoming"
                writing += begun and file.stat().st_size > 0
                stored += not begun
    return writing, stored
