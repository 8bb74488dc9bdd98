"""Durable intake against the floor F, on SQLite and on PostgreSQL."""

from __future__ import annotations

import tempfile
from pathlib import Path

from figures import Figure, compare
from load import Loaded, write_load, wrk
from processes import free_port, postgresql, server

SECONDS = 4.0
LOAD = 120_000


def measure(rounds: int) -> list[Figure]:
    """Run floor, handler and both databases in turn."""
    runs: dict[str, list[Loaded]] = {n: [] for n in ("floor", "none", "sqlite", "pg")}
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        load = write_load(folder / "load", LOAD)
        for number in range(rounds):
            place = folder / str(number)
            place.mkdir()
            runs["floor"].append(_floor(load))
            runs["none"].append(_ours(load, "none", place))
            runs["sqlite"].append(_ours(load, f"sqlite:///{place}/gateway.db", place))
            with postgresql(place) as url:
                runs["pg"].append(_ours(load, url, place))
    return _figures(runs)


def _floor(load: Path) -> Loaded:
    port = free_port()
    with server("floor", port):
        return wrk(f"http://127.0.0.1:{port}/webhook", load, SECONDS)


def _ours(load: Path, store: str, folder: Path) -> Loaded:
    port = free_port()
    with server("intake", port, store, folder):
        url = f"http://127.0.0.1:{port}/channels/urp/webhook"
        return wrk(url, load, SECONDS)


def _figures(runs: dict[str, list[Loaded]]) -> list[Figure]:
    floor = [run.per_second for run in runs["floor"]]
    floor_p50 = [run.p50 for run in runs["floor"]]
    rows = (
        ("intake-handler", "none", None, None),
        ("intake-sqlite", "sqlite", 0.60, 4.0),
        ("intake-postgresql", "pg", 0.45, 4.0),
    )
    figures = []
    for name, key, rate, p99 in rows:
        figures += [
            compare(
                name,
                [run.per_second for run in runs[key]],
                floor,
                unit="webhooks/s",
                against="the floor F, nothing stored",
                at_least=rate,
            ),
            compare(
                f"{name}-p99",
                [run.p99 for run in runs[key]],
                floor_p50,
                unit="ms",
                against="the floor's p50",
                at_most=p99,
            ),
        ]
    return figures
