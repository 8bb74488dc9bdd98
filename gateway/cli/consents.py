"""``gateway contacts agree | withdraw``: where else a citizen may be answered.

For what citizens say at the counter, on the telephone or in writing; staff vouch for
the address, and say how they know.
"""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection, select

from gateway import consents, contacts
from gateway.cli.contacts import CaseOption, Who, find, one_of
from gateway.cli.opened import ACTOR, write
from gateway.cli.output import DEFAULT_CONFIG, ConfigOption, said
from gateway.consents import Agreement
from gateway.errors import ContactError, PayloadError
from gateway.model import Address, ChannelId
from gateway.setup import Setup
from gateway.store import schema

_LOWER = {"mailto", "pec"}
"""Addresses that we keep in lower case."""

ChannelOption = Annotated[
    str, typer.Option(help="Id of the channel that answers there, as configured.")
]


def agree(  # noqa: PLR0913 (typer: one parameter an option)
    address: Annotated[
        str, typer.Option(help="Address of the contact: mailto:a@b.it, whatsapp:39….")
    ],
    channel: ChannelOption,
    how: Annotated[
        str,
        typer.Option(
            help="How you know that they agree, and whose it is.", callback=said
        ),
    ],
    who: Who = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    case: CaseOption = None,
) -> None:
    """Note that a contact agrees to be answered at another address, too.

    An address that we don't know yet becomes theirs.
    """
    one_of(who, case)
    uri = _uri(address)

    def work(connection: Connection, setup: Setup) -> tuple[str, bool]:
        _check_channel(connection, setup, channel, uri)
        found = find(connection, who, case)
        contacts.add_address(connection, found, uri, ACTOR)
        agreement = Agreement(
            contact_id=found, uri=uri, channel=channel, by=ACTOR, note=how
        )
        return found, consents.give(connection, agreement)

    found, new = write(config, lambda setup: lambda c: work(c, setup))
    typer.echo(f"{found} {'agrees' if new else 'had agreed already'}")


def withdraw(
    who: Who = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    case: CaseOption = None,
    channel: Annotated[
        str | None, typer.Option(help="Only what goes by this channel.")
    ] = None,
) -> None:
    """End what a contact agreed to: they are answered only where they write."""
    one_of(who, case)

    def work(connection: Connection) -> tuple[str, int]:
        found = find(connection, who, case)
        rows = [
            row
            for row in consents.of_contact(connection, found)
            if channel in {None, row.channel}
        ]
        consents.end(connection, rows, ACTOR)
        return found, len(rows)

    found, count = write(config, lambda _: work)
    typer.echo(f"{found} has withdrawn {count} consent(s)")


def _uri(address: str) -> str:
    try:
        parsed = Address.parse(address)
    except PayloadError:
        text = f"found {address}; allowed: scheme:address, e.g. mailto:a@b.it"
        raise typer.BadParameter(text, param_hint="--address") from None
    return str(parsed).lower() if parsed.scheme in _LOWER else str(parsed)


def _check_channel(
    connection: Connection, setup: Setup, channel: str, uri: str
) -> None:
    """Refuse a channel that is not there, or writes to other kinds of address."""
    if ChannelId(channel) not in setup.settings.channels:
        known = ", ".join(sorted(setup.settings.channels))
        text = f"no channel {channel}; there are: {known}"
        raise ContactError(text)
    table = schema.conversation
    known_uri = connection.execute(
        select(table.c.reply_to).where(table.c.channel == channel).limit(1)
    ).scalar_one_or_none()
    if known_uri is None:
        return
    wanted, found = (Address.parse(each).scheme for each in (known_uri, uri))
    if wanted != found:
        text = f"channel {channel} writes to {wanted}: addresses, not to {found}:"
        raise ContactError(text)


COMMANDS = (agree, withdraw)
