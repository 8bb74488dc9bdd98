"""``gateway messages`` and ``replay``: what was said, and what became of it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy import Connection, and_, case, func, not_, select

from gateway import blocks, inbox
from gateway.app import city_of
from gateway.cli.opened import ACTOR, one, read, rows, write
from gateway.cli.output import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    LimitOption,
    said,
    show,
    show_one,
)
from gateway.model import Author, Inbound, MessageState
from gateway.records import Recorder
from gateway.replaying import Difference, Replay
from gateway.setup import set_up
from gateway.store import schema

app = typer.Typer(no_args_is_help=True, help="Messages: list, show, release, reject.")

Id = Annotated[str, typer.Argument(help="Id of the message.")]


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    state: Annotated[
        MessageState | None, typer.Option(help="Only those in this state.")
    ] = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List messages, newest first; their texts are not shown."""
    table = schema.message
    columns = ("id", "created_at", "direction", "author", "channel", "state", "reason")
    statement = select(*(table.c[name] for name in columns))
    if state:
        statement = statement.where(table.c.state == state.value)
    statement = statement.order_by(table.c.created_at.desc(), table.c.id.desc())
    statement = statement.limit(limit)

    def work(connection: Connection) -> list[dict[str, Any]]:
        return rows(connection, statement)

    show(read(config, work), as_json=as_json, empty="no messages")


@app.command("show")
def show_(
    message: Id, config: ConfigOption = DEFAULT_CONFIG, *, as_json: JsonOption = False
) -> None:
    """Show one message whole: text, attachments, verdicts, assignment."""
    row = read(config, lambda c: _message(c, message))
    if as_json:
        show_one(row, as_json=True)
        return
    lists = {key: row.pop(key) for key in ("attachments", "verdicts", "assignment")}
    show_one({**row.pop("body"), **row}, as_json=False)
    for name, part in lists.items():
        typer.echo()
        show(part, as_json=False, empty=f"no {name}")


def _message(connection: Connection, message_id: str) -> dict[str, Any]:
    statement = select(schema.message).where(schema.message.c.id == message_id)
    row = one(connection, statement, f"message {message_id}")
    parts = {
        table.name + ("" if table.name == "assignment" else "s"): rows(
            connection, select(table).where(table.c.message_id == message_id)
        )
        for table in (schema.attachment, schema.verdict, schema.assignment)
    }
    return {**row, "body": orjson.loads(row["body"]), **parts}


@app.command()
def release(message: Id, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Let a held message go to the service it was meant for."""
    write(
        config,
        lambda setup: (
            lambda c: Recorder(city_of(setup.settings, setup.host)).release(
                c, message, ACTOR
            )
        ),
    )
    typer.echo(f"{message} is released")


@app.command()
def reject(
    message: Id,
    reason: Annotated[
        str, typer.Option(help="What the citizen is told.", callback=said)
    ],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Refuse a held message, and tell the citizen why."""
    write(
        config,
        lambda setup: (
            lambda c: Recorder(city_of(setup.settings, setup.host)).reject(
                c, message, reason, ACTOR
            )
        ),
    )
    typer.echo(f"{message} is rejected")


def replay(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    limit: LimitOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """Decide stored messages again with today's plugins, and show what would differ.

    Nothing is sent or changed. Exit code 1 if anything differs.
    """

    def work(connection: Connection) -> tuple[list[Inbound], dict[str, Any]]:
        ids = connection.execute(
            select(schema.inbox.c.id)
            .outerjoin(schema.message, schema.message.c.id == schema.inbox.c.id)
            .where(
                schema.inbox.c.kind == "message",
                # An answer of a service is not decided upon.
                func.coalesce(schema.message.c.author, "") != Author.SERVICE.value,
                # Who was blocked then may not be now.
                not_(
                    func.coalesce(schema.message.c.reason, "").startswith(blocks.REASON)
                ),
            )
            .order_by(schema.inbox.c.id.desc())
            .limit(limit)
        ).scalars()
        found = list(ids)
        return inbox.load(connection, found), _decided(connection, found)

    setup = set_up(config)
    items, decided = read(config, work)
    differences: list[Difference] = asyncio.run(
        Replay(setup.settings, setup.host).compare(items, decided)
    )
    shown = [difference.row() for difference in differences]
    show(shown, as_json=as_json, empty=f"{len(items)} messages, no difference")
    if shown:
        raise typer.Exit(EXIT_FAILED)


def _decided(connection: Connection, ids: list[str]) -> dict[str, Any]:
    """Return the state and service that each message got, before staff saw it."""
    held = f"message.{MessageState.HELD.value}"
    rows = connection.execute(
        select(
            schema.message.c.id,
            case(
                (schema.event.c.seq.is_not(None), MessageState.HELD.value),
                else_=schema.message.c.state,
            ).label("state"),
            schema.assignment.c.service,
            schema.assignment.c.source,
        )
        .join(schema.assignment, schema.assignment.c.message_id == schema.message.c.id)
        .outerjoin(
            schema.event,
            and_(
                schema.event.c.subject == schema.message.c.id,
                schema.event.c.action == held,
            ),
        )
        .where(schema.message.c.id.in_(ids))
    )
    return {row.id: row for row in rows}
