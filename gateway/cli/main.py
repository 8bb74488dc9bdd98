"""The commands, put together."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import (
    audit,
    campaigns,
    case_changes,
    cases,
    configuration,
    consents,
    contacts,
    daemon,
    dead_letters,
    deliveries,
    messages,
    report,
)
from gateway.cli.extensions import WithPlugins
from gateway.cli.output import EXIT_FAILED, complain
from gateway.errors import GatewayError

EPILOG = (
    "Exit codes: 0 done, 1 a problem was found or the command failed, 2 wrong usage."
)

app = typer.Typer(
    name="gateway",
    cls=WithPlugins,
    help="The gateway through which a city hall talks with its citizens.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(daemon.run)
app.command()(configuration.check)
app.command()(configuration.schema)
app.command()(configuration.plugins)
app.command()(daemon.migrate)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(daemon.demo)
app.command()(messages.replay)
app.command()(campaigns.campaign)
app.add_typer(messages.app, name="messages")
for change in case_changes.COMMANDS:
    cases.app.command()(change)
app.add_typer(cases.app, name="cases")
for consenting in consents.COMMANDS:
    contacts.app.command()(consenting)
app.add_typer(contacts.app, name="contacts")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(audit.app, name="audit")
app.add_typer(report.app, name="report")


@app.callback(invoke_without_command=True)
def show_version(
    *,
    version: Annotated[bool, typer.Option(help="Print the version and stop.")] = False,
) -> None:
    """Take the options that belong to no command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of ours is a sentence, not a traceback."""
    # What we write holds what citizens said: it is for our user only.
    os.umask(0o077)
    try:
        app()
    except GatewayError as error:
        complain(str(error))
        sys.exit(EXIT_FAILED)
