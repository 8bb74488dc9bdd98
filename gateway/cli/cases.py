"""``gateway cases``: the matters, and where they stand."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import Connection, select

from gateway.cli.opened import one, read, rows
from gateway.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LimitOption,
    show,
    show_one,
)
from gateway.model import CaseStatus
from gateway.store import schema

app = typer.Typer(no_args_is_help=True, help="Cases: list, show.")


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    status: Annotated[
        CaseStatus | None, typer.Option(help="Only those in this status.")
    ] = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List cases, newest first."""
    table = schema.cases
    columns = ("number", "service", "status", "opened_at", "last_message_at", "id")
    statement = select(*(table.c[name] for name in columns))
    if status:
        statement = statement.where(table.c.status == status.value)
    statement = statement.order_by(table.c.id.desc()).limit(limit)

    def work(connection: Connection) -> list[dict[str, Any]]:
        return rows(connection, statement)

    show(read(config, work), as_json=as_json, empty="no cases")


@app.command("show")
def show_(
    number: Annotated[str, typer.Argument(help="Case number, e.g. URP-2026-000001.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show a case with its messages and deliveries."""
    row = read(config, lambda c: _case(c, number))
    if as_json:
        show_one(row, as_json=True)
        return
    messages, deliveries = row.pop("messages"), row.pop("deliveries")
    show_one(row, as_json=False)
    typer.echo()
    show(messages, as_json=False, empty="no messages")
    typer.echo()
    show(deliveries, as_json=False, empty="no deliveries")


def _case(connection: Connection, number: str) -> dict[str, Any]:
    table = schema.cases
    row = one(
        connection, select(table).where(table.c.number == number), f"case {number}"
    )
    return {
        **row,
        "messages": _messages(connection, row["id"]),
        "deliveries": _deliveries(connection, row["id"]),
    }


def _messages(connection: Connection, case_id: str) -> list[dict[str, Any]]:
    table = schema.message
    columns = ("created_at", "direction", "author", "state", "channel", "id")
    statement = (
        select(*(table.c[name] for name in columns))
        .where(table.c.case_id == case_id)
        .order_by(table.c.id)
    )
    return rows(connection, statement)


def _deliveries(connection: Connection, case_id: str) -> list[dict[str, Any]]:
    table = schema.delivery
    columns = ("created_at", "target", "purpose", "state", "code", "id")
    statement = (
        select(*(table.c[name] for name in columns))
        .where(table.c.case_id == case_id)
        .order_by(table.c.id)
    )
    return rows(connection, statement)
