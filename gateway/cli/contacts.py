"""``gateway contacts``: who writes, and who may not."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection

from gateway import blocks, forgetting, people
from gateway.app import city_of
from gateway.cli.opened import ACTOR, read, write
from gateway.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LimitOption,
    said,
    show,
    show_one,
)
from gateway.setup import Setup

app = typer.Typer(
    no_args_is_help=True,
    help="Contacts: list, show, block, unblock, forget, agree, withdraw.",
)

_LISTS = ("addresses", "conversations", "cases", "consents")

Who = Annotated[
    str | None,
    typer.Argument(
        help=(
            "Id of the contact, an address (whatsapp:393290000000, mailto:a@b.it),"
            " id of a message."
        )
    ),
]
CaseOption = Annotated[
    str | None, typer.Option("--case", help="Number of a case of theirs instead.")
]


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    blocked: Annotated[
        bool, typer.Option("--blocked", help="Only those that are blocked.")
    ] = False,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List contacts, newest first; names and addresses are not shown."""
    rows = read(config, lambda c: people.summaries(c, limit, blocked=blocked))
    show(rows, as_json=as_json, empty="no contacts")


@app.command("show")
def show_(
    who: Who = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    case: CaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a contact whole: addresses, conversations, cases, consents, block."""
    one_of(who, case)
    row = read(config, lambda c: people.card(c, find(c, who, case)))
    if as_json:
        show_one(row, as_json=True)
        return
    lists = {key: row.pop(key) for key in _LISTS}
    show_one(row, as_json=False)
    for name, part in lists.items():
        typer.echo()
        show(part, as_json=False, empty=f"no {name}")


@app.command()
def block(
    reason: Annotated[
        str, typer.Option(help="Why; staff see it, no citizen does.", callback=said)
    ],
    who: Who = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    case: CaseOption = None,
) -> None:
    """Refuse what a contact says from now on, at each address, on every channel."""
    one_of(who, case)

    def work(connection: Connection, setup: Setup) -> tuple[str, bool]:
        found = find(connection, who, case)
        mirrors = city_of(setup.settings, setup.host).mirrors
        return found, blocks.block(connection, found, reason, ACTOR, mirrors=mirrors)

    found, new = write(config, lambda setup: lambda c: work(c, setup))
    typer.echo(f"{found} is blocked" if new else f"{found} was blocked already")


@app.command()
def unblock(
    who: Who = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    case: CaseOption = None,
) -> None:
    """Take a contact's messages again; what was refused meanwhile stays so."""
    one_of(who, case)

    def work(connection: Connection, setup: Setup) -> tuple[str, bool]:
        found = find(connection, who, case)
        mirrors = city_of(setup.settings, setup.host).mirrors
        return found, blocks.unblock(connection, found, ACTOR, mirrors=mirrors)

    found, was = write(config, lambda setup: lambda c: work(c, setup))
    typer.echo(f"{found} is unblocked" if was else f"{found} was not blocked")


@app.command()
def forget(
    reason: Annotated[
        str, typer.Option(help="Why; it goes on the record.", callback=said)
    ],
    who: Who = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    case: CaseOption = None,
) -> None:
    """Erase what plugins keep of a contact whose cases are closed.

    Places of their reports, words kept for the city's app, and where they agreed to be
    answered besides. Not yet: what else the gateway keeps (messages, originals, files,
    the contact).
    """
    one_of(who, case)

    def work(connection: Connection) -> tuple[str, int]:
        found = find(connection, who, case)
        return found, forgetting.forget(connection, found, reason, ACTOR)

    found, count = write(config, lambda _: work)
    typer.echo(f"{found}: {count} values of plugins are erased")


def one_of(who: str | None, case: str | None) -> None:
    """Insist on one of the two ways to name a contact."""
    if (who is None) == (case is None):
        text = "name the contact by WHO or by --case"
        raise typer.BadParameter(text)


def find(connection: Connection, who: str | None, case: str | None) -> str:
    """Return the contact that is named.

    Raises:
        NotFound: there is none.

    """
    if who is not None:
        return people.by_name(connection, who)
    return people.by_case(connection, str(case))
