"""``gateway dead-letters``: what was given up, and what to do about it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import Connection, select

from gateway import dead_letters, outbox
from gateway.cli.opened import ACTOR, one, read, rows, write
from gateway.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LimitOption,
    said,
    show,
    show_one,
)
from gateway.store.schema import dead_letter, inbox, original

app = typer.Typer(
    no_args_is_help=True, help="What was given up: list, show, retry, discard."
)

Id = Annotated[str, typer.Argument(help="Id of the dead letter.")]


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that are resolved.")
    ] = False,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, oldest first."""
    columns = dead_letter.c
    statement = select(
        columns.id,
        columns.queue,
        columns.code,
        columns.attempts,
        columns.died_at,
        columns.reason,
        columns.resolution,
    )
    if not every:
        statement = statement.where(columns.resolution.is_(None))
    statement = statement.order_by(columns.died_at).limit(limit)

    def work(connection: Connection) -> list[dict[str, Any]]:
        return rows(connection, statement)

    show(read(config, work), as_json=as_json, empty="no dead letters")


@app.command("show")
def show_(
    letter: Id, config: ConfigOption = DEFAULT_CONFIG, *, as_json: JsonOption = False
) -> None:
    """Show one dead letter whole."""

    def work(connection: Connection) -> dict[str, Any]:
        statement = select(dead_letter).where(dead_letter.c.id == letter)
        row = one(connection, statement, f"dead letter {letter}")
        return {**row, **_original(connection, row["subject"])}

    show_one(read(config, work), as_json=as_json)


def _original(connection: Connection, subject: str) -> dict[str, Any]:
    """Return the raw original, where the dead letter is an item nobody could read."""
    found = connection.execute(
        select(original.c.headers, original.c.body)
        .join(inbox, inbox.c.original_id == original.c.id)
        .where(inbox.c.id == subject)
    ).one_or_none()
    if found is None:
        return {}
    body = found.body.decode(errors="backslashreplace")
    return {"headers": found.headers, "original": body}


@app.command()
def retry(letter: Id, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Try a dead letter again, from the first attempt."""
    write(config, lambda _: lambda c: outbox.resurrect(c, letter, ACTOR))
    typer.echo(f"{letter} will be tried again")


@app.command()
def discard(
    letter: Id,
    reason: Annotated[
        str, typer.Option(help="Why; it goes on the record.", callback=said)
    ],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Close a dead letter for good."""
    write(config, lambda _: lambda c: dead_letters.discard(c, letter, reason, ACTOR))
    typer.echo(f"{letter} is discarded")
