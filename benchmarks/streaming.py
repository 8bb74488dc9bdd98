"""Attachments of 16 MB: how fast one streams, and what fifty at once weigh."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

from figures import Figure, compare
from processes import HERE, free_port, server

SIZE = 16 * 2**20
SEVERAL, AT_ONCE = 8, 50
LIMIT_MIB = 50.0


def measure(rounds: int) -> list[Figure]:
    """Fetch one after the other, by curl and by us in turn; then fifty at once."""
    ours, theirs = [], []
    names = (f"{number:06}" for number in count())
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder, port = Path(name), free_port()
        files = folder / "files"
        files.mkdir()
        with server("media", port, files), _fetcher(port, folder / "stored") as ask:
            ask(_some(files, names, 1))
            for _ in range(rounds):
                some = _some(files, names, SEVERAL)
                theirs.append(SEVERAL * SIZE / _curl(port, some))
                ours.append(SEVERAL * SIZE / sum(ask([each])[0] for each in some))
            grown = [
                ask(_some(files, names, AT_ONCE))[1] / 2**20 for _ in range(rounds)
            ]
    return [
        compare(
            "stream",
            [rate / 2**20 for rate in ours],
            [rate / 2**20 for rate in theirs],
            unit="MiB/s",
            against="curl | sha256sum",
            at_least=0.5,
        ),
        compare(
            "stream-memory",
            grown,
            [LIMIT_MIB] * rounds,
            unit="MiB",
            against="the promise",
            at_most=1.0,
        ),
    ]


def _some(files: Path, names: Iterator[str], number: int) -> list[str]:
    """Make different files; return their names. Those of before are gone."""
    for old in files.iterdir():
        old.unlink()
    content = os.urandom(SIZE)
    some = [next(names) for _ in range(number)]
    for name in some:
        (files / name).write_bytes(name.encode() + content[len(name) :])
    return some


def _curl(port: int, names: list[str]) -> float:
    began = time.perf_counter()
    for name in names:
        url = f"http://127.0.0.1:{port}/files/{name}"
        subprocess.run(
            ["sh", "-c", f"curl -sf {url} | sha256sum"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return time.perf_counter() - began


@contextlib.contextmanager
def _fetcher(port: int, folder: Path) -> Iterator[Ask]:
    """Run our fetching in a process of its own; yield how to ask it."""
    command = [sys.executable, HERE / "servers" / "fetch.py", str(port), folder]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        assert process.stdout is not None  # noqa: S101
        yield Ask(process.stdin, process.stdout)
        process.stdin.close()


class Ask:
    """Asks the fetching process for files."""

    def __init__(self, to: IO[str], back: IO[str]) -> None:
        """Talk by these pipes."""
        self._to = to
        self._back = back

    def __call__(self, names: list[str]) -> tuple[float, int]:
        """Return seconds, and bytes by which the process grew."""
        self._to.write(" ".join(names) + "\n")
        self._to.flush()
        seconds, grown = self._back.readline().split()
        return float(seconds), int(grown)
