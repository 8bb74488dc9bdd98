"""Measure, print one table, keep it: ``run.py [--rounds 5] [--keep] [NAME…]``.

NAMEs are modules of this folder. ``build/bench.json`` always gets the figures;
``--keep`` also writes the table of ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from dataclasses import asdict

from figures import Figure
from processes import ROOT
from report import keep, show

MODULES = (
    "intake",
    "mixed",
    "group_commit",
    "whole_way",
    "latency",
    "flood",
    "growth",
    "footprint",
    "streaming",
    "films",
    "mail_in",
    "routing",
)
BENCH = ROOT / "build" / "bench.json"
COLUMNS = ("name", "ours", "reference", "ratio", "spread")


def main(names: list[str], rounds: int) -> list[Figure]:
    """Run the modules ``names``; print as they end."""
    figures: list[Figure] = []
    for name in names:
        started = time.monotonic()
        print(f"… {name}", file=sys.stderr, flush=True)
        measured = importlib.import_module(name).measure(rounds)
        print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr)
        show(measured)
        figures += measured
    return figures


def write(figures: list[Figure]) -> None:
    """Write ``build/bench.json``."""
    BENCH.parent.mkdir(exist_ok=True)
    rows = [{key: asdict(each)[key] for key in COLUMNS} for each in figures]
    BENCH.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MODULES], default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    found = main(options.names or list(MODULES), options.rounds)
    write(found)
    if options.keep:
        keep(found)
