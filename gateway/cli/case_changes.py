"""``gateway cases``, what staff do to them: move, close, reopen, merge, split, link.

The daemon may run: it sees the result at its next poll.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from sqlalchemy import Connection

from gateway import closing, correcting, merging
from gateway import duplicates as same
from gateway.app import city_of
from gateway.city import City
from gateway.cli.cases import Number
from gateway.cli.opened import ACTOR, write
from gateway.cli.output import DEFAULT_CONFIG, ConfigOption, JsonOption, show
from gateway.model import ServiceId
from gateway.setup import Setup

T = TypeVar("T")

Other = Annotated[str, typer.Argument(help="Number of the other case.")]


def _change(config: Path, work: Callable[[Connection, City], T]) -> T:
    """Run a unit of work that needs to know the city."""

    def prepared(setup: Setup) -> Callable[[Connection], T]:
        city = city_of(setup.settings, setup.host)
        return lambda connection: work(connection, city)

    return write(config, prepared)


def move(
    number: Number,
    service: Annotated[str, typer.Argument(help="Id of the service, as configured.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    reason: Annotated[
        str, typer.Option(help="Why; it goes on the record: nothing personal.")
    ] = "",
) -> None:
    """Give a case to another service; the router learns from it."""
    _change(
        config,
        lambda c, city: correcting.move(
            c, number, ServiceId(service), city, by=ACTOR, reason=reason.strip()
        ),
    )
    typer.echo(f"{number} goes to {service}")


def close(number: Number, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Close a case and those linked to it; their citizens are told."""
    _change(config, lambda c, city: closing.close(c, number, city, by=ACTOR))
    typer.echo(f"{number} is closed")


def reopen(number: Number, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Open a closed case again; its citizen is told."""
    _change(config, lambda c, city: closing.reopen(c, number, city, by=ACTOR))
    typer.echo(f"{number} is open again")


def merge(number: Number, into: Other, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Let a case go on in another one of the same citizen."""
    _change(config, lambda c, city: merging.merge(c, number, into, city, by=ACTOR))
    typer.echo(f"{number} goes on in {into}")


def split(
    number: Number,
    messages: Annotated[
        list[str], typer.Argument(help="Ids of the messages that are another matter.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make a case of its own of some of a case's messages."""
    new = _change(
        config, lambda c, city: merging.split(c, number, messages, city, by=ACTOR)
    )
    typer.echo(f"{new} is a case of its own")


def link(number: Number, main: Other, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Link a case to the main one of the same matter, which another citizen told of."""
    _change(config, lambda c, _: same.link(c, number, main, by=ACTOR))
    typer.echo(f"{number} is closed when {main} is")


def unlink(number: Number, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Take a link back."""
    _change(config, lambda c, _: same.unlink(c, number, by=ACTOR))
    typer.echo(f"{number} is linked to no other case")


def duplicates(
    number: Number,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Suggest open cases of other citizens about the same: by place, time and words."""
    found = _change(config, lambda c, _: same.suggest(c, number))
    show([asdict(each) for each in found], as_json=as_json, empty="none found")


COMMANDS = (move, close, reopen, merge, split, link, unlink, duplicates)
