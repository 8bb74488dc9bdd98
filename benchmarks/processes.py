"""Servers under measurement: started, awaited, weighed, stopped."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
PATIENCE = 60.0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def started(
    command: Sequence[object], ready: str, folder: Path | None = None
) -> Iterator[int]:
    """Run ``command`` while the block lasts; yield its pid once ``ready`` answers."""
    words = [str(word) for word in command]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        await_answer(ready, process)
        yield process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


@contextlib.contextmanager
def server(name: str, port: int, *arguments: object) -> Iterator[int]:
    """Run a server of ``servers/``."""
    command = [sys.executable, HERE / "servers" / f"{name}.py", port, *arguments]
    with started(command, f"http://127.0.0.1:{port}/healthz") as pid:
        yield pid


@contextlib.contextmanager
def daemon(folder: Path, port: int, ready: str = "readyz") -> Iterator[int]:
    """Run ``gateway run`` on ``folder``'s ``gateway.toml``."""
    command = [Path(sys.executable).with_name("gateway"), "run"]
    with started(command, f"http://127.0.0.1:{port}/{ready}", folder) as pid:
        yield pid


def await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until ``url`` answers 200."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with contextlib.suppress(OSError, urllib.error.URLError):
            get(url)
            return
        time.sleep(0.005)
    raise RuntimeError(f"{url} did not answer within {PATIENCE:g} s")


def get(url: str) -> bytes:
    """Return what a local server answers."""
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (our own URL)
        body: bytes = response.read()
        return body


def resident_bytes(pid: int | str, line: str = "VmRSS") -> int:
    """Return a process's resident memory; ``VmHWM`` is the highest it ever was."""
    for each in Path(f"/proc/{pid}/status").read_text().splitlines():
        if each.startswith(f"{line}:"):
            return int(each.split()[1]) * 1024
    raise RuntimeError(f"process {pid} tells no {line}")


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Run a durable PostgreSQL; yield its URL."""
    port = free_port()
    script = ROOT / "scripts" / "peers" / "postgresql.sh"
    # PostgreSQL does not run as root: its user must be able to enter the folder.
    for parent in (folder, folder.parent):
        parent.chmod(parent.stat().st_mode | 0o055)
    subprocess.run([script, "start", folder / "pg", str(port), "--durable"], check=True)
    try:
        yield f"postgresql://gateway@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([script, "stop", folder / "pg"], check=True)
