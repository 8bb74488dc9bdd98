"""``gateway deliveries``: what waits for targets that are no longer configured."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from sqlalchemy import Connection

from gateway import stranded
from gateway.app import city_of, targets_of
from gateway.city import City
from gateway.cli.opened import ACTOR, read_in, write_in
from gateway.cli.output import DEFAULT_CONFIG, ConfigOption, JsonOption, show
from gateway.config import Settings
from gateway.depths import QueueDepth
from gateway.setup import set_up
from gateway.stranded import Moved, Order

app = typer.Typer(
    no_args_is_help=True, help="Deliveries that nobody works on: stranded, move."
)

_AT_ONCE = 100
"""Deliveries handed on in one transaction: a running daemon writes between two."""


@app.command("stranded")
def stranded_(
    config: ConfigOption = DEFAULT_CONFIG, *, as_json: JsonOption = False
) -> None:
    """List the queues of targets and channels that are no longer configured."""
    setup = set_up(config)
    found = read_in(setup, partial(found_in, setup.settings))
    rows = [
        {"queue": queue, "open": depth.open, "dead": depth.dead}
        for queue, depth in found.items()
    ]
    show(rows, as_json=as_json, empty="no delivery is stranded")


@app.command()
def move(
    before: Annotated[str, typer.Option("--from", help="The target: service:strade/1")],
    after: Annotated[str, typer.Option("--to", help="Who gets it: service:strade")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Also what was given up.")
    ] = False,
) -> None:
    """Hand what waits for a target that is no longer configured to another.

    Of the same service its deliveries go, each once; of another the cases, as by
    `gateway cases move`.
    """
    setup = set_up(config)
    order = Order(before=before, after=after, by=ACTOR, dead_letters=dead_letters)
    stranded.require_sense(order, targets_of(setup.settings))
    city = city_of(setup.settings, setup.host)
    ids = read_in(setup, lambda c: stranded.waiting(c, order))
    works = [
        partial(_move, order=order, ids=ids[start : start + _AT_ONCE], city=city)
        for start in range(0, len(ids), _AT_ONCE)
    ]
    moved = sum(write_in(setup, works), Moved())
    cases = f", with {moved.cases} cases" if moved.cases else ""
    typer.echo(f"{moved.handed} deliveries go to {after}{cases}")
    if moved.left:
        typer.echo(
            f"{moved.left} stay: being sent when a daemon last ran (start it, then try"
            " again), or of closed cases"
        )


def _move(connection: Connection, order: Order, ids: list[str], city: City) -> Moved:
    return stranded.move(connection, order, ids, city)


def found_in(settings: Settings, connection: Connection) -> dict[str, QueueDepth]:
    """Return the queues that have work and nobody who does it, by a configuration."""
    return stranded.found(connection, targets_of(settings), settings.channels)
