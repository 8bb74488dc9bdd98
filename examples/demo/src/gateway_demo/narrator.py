"""Prints the story as it happens: one line a step, texts as the citizen reads them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {
    "citizen": ("☎ cittadino ", "bold cyan"),
    "gateway": ("⚙ gateway   ", "green"),
    "office": ("✉ ufficio   ", "bold yellow"),
    "staff": ("⚑ operatore ", "bold magenta"),
}


class Narrator:
    """Tells who does what, and when."""

    def __init__(self) -> None:
        """Start the clock."""
        self._console = Console(highlight=False)
        self._started = time.monotonic()

    def heading(self, text: str) -> None:
        """Begin a part of the story."""
        self._console.rule(Text(text, style="bold"), align="left")

    def say(self, who: str, text: str) -> None:
        """Tell one step."""
        label, style = _STYLES[who]
        elapsed = f"{time.monotonic() - self._started:5.1f}s "
        first, *rest = text.splitlines() or [""]
        self._console.print(
            Text(elapsed, style="dim"),
            Text(label, style=style),
            Text(first),
            sep="",
            soft_wrap=True,
        )
        for line in rest:
            self._console.print(Text(" " * 19 + line), soft_wrap=True)

    def summary(self, rows: Sequence[Sequence[str]]) -> None:
        """Show the cases."""
        table = Table("pratica", "cittadino", "ufficio", "stato", box=None)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table)

    def where_next(self, config: Path, *, keep: bool) -> None:
        """Say where to look next."""
        place = Path(os.path.relpath(config))
        number = f"URP-{datetime.now().astimezone().year}-000001"
        gateway = ".venv/bin/gateway"
        lines = [
            f"config    {place}",
            f"log       {place.parents[2] / 'build/demo/gateway.log'}",
            f"cases     {gateway} cases list -c {place}",
            f"a case    {gateway} cases show {number} -c {place}",
            f"held      {gateway} messages list --state held -c {place}",
            f"trail     {gateway} audit verify -c {place}",
            "docs      README.md, docs/",
        ]
        if keep:
            lines += [
                (
                    "write     curl -d from=393331112233 -d 'body=Buca in via Roma'"
                    " http://127.0.0.1:18091/simulator/text"
                ),
                "read      curl http://127.0.0.1:18091/simulator/sent",
                "health    curl http://127.0.0.1:18080/readyz",
                "metrics   curl http://127.0.0.1:18080/metrics",
                "stop      Ctrl-C",
            ]
        else:
            lines.append("again     make demo ARGS=--keep (leaves it running)")
        self.heading("Where to look next")
        for line in lines:
            self._console.print(Text("  " + line), soft_wrap=True)

    def failed(self, reason: str) -> None:
        """Say why the story could not be told."""
        self._console.print(Text(f"The demo stopped: {reason}", style="bold red"))
