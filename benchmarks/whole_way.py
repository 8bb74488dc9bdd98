"""The whole way, durable, against Node-RED 4 doing it without storing anything.

A fixed number of webhooks is sent; the rate counts from the first request to the last
arrival at the sink. Node-RED comes from npm into ``build/node-red``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from city import build
from figures import Figure, compare
from load import write_load, wrk_once
from processes import (
    HERE,
    ROOT,
    daemon,
    free_port,
    get,
    resident_bytes,
    server,
    started,
)

MESSAGES = 6_000
PATIENCE = 120.0
NODE_RED = ROOT / "build" / "node-red"
SCRIPT = NODE_RED / "node_modules" / "node-red" / "red.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What one run gave."""

    per_second: float
    peak_bytes: float


def measure(rounds: int) -> list[Figure]:
    """Run Node-RED and us in turn."""
    _install_node_red()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        load = write_load(folder / "load", MESSAGES)
        for number in range(rounds):
            theirs.append(_run(partial(_node_red, folder / f"red{number}"), load))
            ours.append(_run(partial(_gateway, folder / f"city{number}"), load))
    return _figures(ours, theirs)


def _figures(ours: Sequence[Journey], theirs: Sequence[Journey]) -> list[Figure]:
    against = "Node-RED 4, nothing stored"
    return [
        compare(
            "whole-way-vs-node-red",
            [run.per_second for run in ours],
            [run.per_second for run in theirs],
            unit="messages/s",
            against=against,
            at_least=1.0,
        ),
        compare(
            "whole-way-memory",
            [run.peak_bytes / 2**20 for run in ours],
            [run.peak_bytes / 2**20 for run in theirs],
            unit="MiB",
            against=against,
            at_most=0.7,
        ),
    ]


def _install_node_red() -> None:
    if SCRIPT.exists():
        return
    NODE_RED.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*command, "--prefix", NODE_RED, "node-red@4"], check=True)


Start = AbstractContextManager[int]


def _gateway(folder: Path, port: int, sink: int) -> tuple[Start, str]:
    build(folder, port, sink)
    return daemon(folder, port), f"http://127.0.0.1:{port}/channels/urp/webhook"


def _node_red(folder: Path, port: int, sink: int) -> tuple[Start, str]:
    shutil.copytree(HERE / "node_red", folder)
    command = ["env", f"SINK={sink}", "node", SCRIPT, "--userDir", folder]
    command += ["--settings", folder / "settings.js", "--port", port]
    ready = f"http://127.0.0.1:{port}/healthz"
    return started(command, ready), f"http://127.0.0.1:{port}/webhook"


def _run(start: partial[tuple[Start, str]], load: Path) -> Journey:
    """Send all, wait until the last has arrived."""
    port, sink = free_port(), free_port()
    running, url = start(port, sink)
    with server("sink", sink), running as pid:
        began = time.monotonic()
        wrk_once(url, load, MESSAGES)
        last = _await_arrivals(sink)
        peak = resident_bytes(pid, "VmHWM")
    return Journey(per_second=MESSAGES / (last - began), peak_bytes=peak)


def _await_arrivals(sink: int) -> float:
    """Return when the last message arrived, by the clock that both sides share."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        arrived = json.loads(get(f"http://127.0.0.1:{sink}/arrivals"))
        if arrived["count"] >= MESSAGES:
            return float(arrived["last"])
        time.sleep(0.2)
    raise RuntimeError(f"only {arrived['count']} of {MESSAGES} arrived")
