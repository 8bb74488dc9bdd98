"""``gateway cases``: the matters, and where they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy import Connection, select, true

from gateway import ladder, parts
from gateway.calendars import deadlines_of
from gateway.cli.opened import one, read, read_by, rows
from gateway.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LimitOption,
    show,
    show_one,
)
from gateway.cli.why import why
from gateway.model import CaseStatus, DeliveryState
from gateway.setup import Setup
from gateway.store import schema
from gateway.store.units import now

app = typer.Typer(
    no_args_is_help=True, help="Cases: list, show, move, close, merge, split, link …"
)

_LISTS = ("messages", "assignments", "deliveries", "receipts")

Number = Annotated[str, typer.Argument(help="Case number, e.g. URP-2026-000001.")]


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    status: Annotated[
        CaseStatus | None, typer.Option(help="Only those in this status.")
    ] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those beyond their deadline.")
    ] = False,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List cases, newest first; overdue ones by their deadline."""
    table = schema.cases
    columns = (
        *("number", "service", "status", "opened_at", "last_message_at"),
        *("deadline_at", "id"),
    )
    statement = select(*(table.c[name] for name in columns)).limit(limit)
    order = table.c.deadline_at if overdue else table.c.id.desc()
    if status:
        statement = statement.where(table.c.status == status.value)

    def work(connection: Connection) -> list[dict[str, Any]]:
        late = table.c.deadline_at < now(connection) if overdue else true()
        return rows(connection, statement.where(late).order_by(order))

    show(read(config, work), as_json=as_json, empty="no cases")


@app.command("show")
def show_(
    number: Number,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show a case with its messages, why they went where, deliveries and receipts."""
    row = read_by(config, lambda setup: lambda c: _shown(c, setup, number))
    if as_json:
        show_one(row, as_json=True)
        return
    lists = {name: row.pop(name) for name in _LISTS}
    show_one(row, as_json=False)
    for name, part in lists.items():
        typer.echo()
        show(part, as_json=False, empty=f"no {name}")


@app.command()
def receipts(
    number: Number,
    folder: Annotated[Path, typer.Argument(help="Folder to write to; it is made.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write the originals of a case's receipts to files, byte for byte: evidence."""
    found = read(config, lambda c: _evidence(c, number))
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in found.items():
        (folder / name).write_bytes(body)
        typer.echo(folder / name)
    if not found:
        typer.echo("no receipts with an original")


def _shown(connection: Connection, setup: Setup, number: str) -> dict[str, Any]:
    """Return a case with the working time left until its deadline."""
    row = _case(connection, number)
    deadline, left = row["deadline_at"], None
    if deadline is not None:
        hours = deadlines_of(setup.settings).hours_of(row["service"])
        worked = hours.between(now(connection), deadline)
        left = round(worked.total_seconds() / 3600, 2)
    return {**row, "working_hours_left": left}


def _case(connection: Connection, number: str) -> dict[str, Any]:
    table = schema.cases
    row = one(
        connection, select(table).where(table.c.number == number), f"case {number}"
    )
    return {
        **row,
        "messages": _messages(connection, row["id"]),
        "assignments": _assignments(connection, row["id"]),
        "deliveries": _deliveries(connection, row["id"]),
        "receipts": _receipts(connection, row["id"]),
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


def _assignments(connection: Connection, case_id: str) -> list[dict[str, Any]]:
    """Return which service each message of a case went to, and why."""
    table, message = schema.assignment, schema.message
    columns = ("message_id", "service", "source", "confidence", "reason", "grounds")
    statement = (
        select(*(table.c[name] for name in columns), message.c.body)
        .join(message, message.c.id == table.c.message_id)
        .where(message.c.case_id == case_id)
        .order_by(message.c.id)
    )
    found = rows(connection, statement)
    for row in found:
        text = orjson.loads(row.pop("body"))["text"]
        row["why"] = why(row.pop("grounds"), text)
    return found


def _deliveries(connection: Connection, case_id: str) -> list[dict[str, Any]]:
    table = schema.delivery
    columns = ("created_at", "target", "purpose", "state", "code", "rung", "id")
    statement = (
        select(*(table.c[name] for name in columns))
        .where(table.c.case_id == case_id)
        .order_by(table.c.id)
    )
    return [_with_rung(row) for row in rows(connection, statement)]


def _with_rung(row: dict[str, Any]) -> dict[str, Any]:
    """Say of an answer that nobody took that it came to the last rung, staff."""
    ended = row["state"] in {DeliveryState.DEAD.value, DeliveryState.FAILED.value}
    if ended and parts.is_answer(row["purpose"]):
        return {**row, "rung": ladder.STAFF}
    return row


def _receipts(connection: Connection, case_id: str) -> list[dict[str, Any]]:
    table, delivery = schema.receipt, schema.delivery
    columns = ("at", "status", "code", "recipient", "reason", "delivery_id", "inbox_id")
    statement = (
        select(*(table.c[name] for name in columns))
        .join(delivery, delivery.c.id == table.c.delivery_id)
        .where(delivery.c.case_id == case_id)
        .order_by(table.c.at, table.c.id)
    )
    return rows(connection, statement)


def _evidence(connection: Connection, number: str) -> dict[str, bytes]:
    """Return the originals of a case's receipts, by the name of their file."""
    inbox, original = schema.inbox, schema.original
    found = {}
    for each in _case(connection, number)["receipts"]:
        if each["inbox_id"] is None:
            continue
        body: bytes = connection.execute(
            select(original.c.body)
            .join(inbox, inbox.c.original_id == original.c.id)
            .where(inbox.c.id == each["inbox_id"])
        ).scalar_one()
        found[_file_name(each, body)] = body
    return found


def _file_name(receipt: dict[str, Any], body: bytes) -> str:
    """Name the file of a receipt so that a list of them is in order."""
    word = re.sub(r"[^a-z0-9.-]+", "-", (receipt["code"] or receipt["status"]).lower())
    ending = "json" if body.lstrip()[:1] in (b"{", b"[") else "eml"
    return f"{receipt['at']:%Y%m%dT%H%M%SZ}-{word}-{receipt['inbox_id']}.{ending}"
