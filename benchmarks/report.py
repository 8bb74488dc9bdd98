"""The table: on the screen, and in ``docs/performance.md``."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from figures import Figure
from processes import ROOT
from rich.console import Console
from rich.table import Table

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
HEAD = ("name", "ours", "reference", "ratio", "spread", "promise", "reached")


def show(figures: Sequence[Figure]) -> None:
    """Print a table."""
    table = Table(*HEAD)
    for figure in figures:
        table.add_row(*_cells(figure))
    Console(width=132).print(table)


def keep(figures: Sequence[Figure]) -> None:
    """Put the figures into the page, between its two marks."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{_markdown(figures)}\n{END}{after}")


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
