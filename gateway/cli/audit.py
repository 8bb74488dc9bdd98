"""``gateway audit``: the trail, verified."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gateway import audit
from gateway.cli.opened import read
from gateway.cli.output import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    show,
    show_one,
)

app = typer.Typer(no_args_is_help=True, help="The audit trail: verify, show.")


def _head(text: str) -> tuple[int, str]:
    """Read ``SEQ:HASH``."""
    seq, _, digest = text.partition(":")
    if not (seq.isdigit() and digest):
        raise typer.BadParameter("expected SEQ:HASH, as `audit verify` prints it")
    return int(seq), digest


@app.command()
def verify(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    expect: Annotated[
        str | None,
        typer.Option(help="A head kept elsewhere (SEQ:HASH): finds a cut-off end."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the hash chain; print its head, to be kept in a second place."""
    expected = _head(expect) if expect else None
    found = read(config, lambda c: audit.verify(c, expected=expected))
    if as_json:
        show_one(asdict(found), as_json=True)
    elif found.broken_at is None:
        typer.echo(f"sound: {found.events} events, head {found.events}:{found.head}")
    else:
        typer.echo(f"BROKEN: {found.reason}; sound up to event {found.events}")
    if found.broken_at is not None:
        raise typer.Exit(EXIT_FAILED)


@app.command("show")
def show_(
    subject: Annotated[str, typer.Argument(help="Id of a message, case or delivery.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what is on record about something."""
    rows = read(config, lambda c: audit.events_of(c, subject))
    shown = [{**row, "hash": row["hash"].hex()[:16]} for row in rows]
    show(shown, as_json=as_json, empty="nothing on record")
