"""The table: on the screen, and in ``docs/performance.md``."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from figures import Figure
from plans import kept_plans
from processes import ROOT
from rich.console import Console
from rich.table import Table

PAGE = ROOT / "docs" / "performance.md"
HEAD = ("name", "ours", "reference", "ratio", "spread", "promise", "reached")


def show(figures: Sequence[Figure]) -> None:
    """Print a table."""
    table = Table(*HEAD)
    for figure in figures:
        table.add_row(*_cells(figure))
    Console(width=132).print(table)


def keep(figures: Sequence[Figure]) -> None:
    """Put figures and plans into the page, each between its two marks."""
    plans = [f"{name}:\n\n```text\n{each}\n```" for name, each in kept_plans().items()]
    page = _between(PAGE.read_text(), "figures", _markdown(figures))
    PAGE.write_text(_between(page, "plans", "\n\n".join(plans)))


def _between(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.split(begin, 1)
    after = rest.split(end, 1)[1]
    return f"{before}{begin}\n{text}\n{end}{after}"


def _markdown(figures: Sequence[Figure]) -> str:
    rows = [" | ".join(HEAD), " | ".join("---" for _ in HEAD)]
    rows += [" | ".join(_cells(figure)) for figure in figures]
    table = "\n".join(f"| {row} |" for row in rows)
    return f"{_machine()}\n\n{table}"


def _cells(figure: Figure) -> tuple[str, ...]:
    reached = {True: "yes", False: "**no**", None: ""}[figure.reached]
    return (
        figure.name,
        f"{figure.ours:,.4g} {figure.unit}",
        f"{figure.reference:,.4g} {figure.unit} ({figure.against})",
        f"{figure.ratio:.2f}",
        f"{figure.spread:.0%}",
        figure.target,
        reached,
    )


def _machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    day = datetime.now(UTC).date().isoformat()
    return (
        f"{day}, commit {commit}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores of {model}, shared with the load."
    )
