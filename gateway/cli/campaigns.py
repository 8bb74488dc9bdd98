"""``gateway campaign``: one notice to many citizens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway.campaigns import BATCH, Campaign, Readers, announce, find_readers
from gateway.cli.opened import ACTOR, read, write_each
from gateway.cli.output import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, complain
from gateway.errors import NotFound, PayloadError
from gateway.model import Address, ChannelId
from gateway.setup import Setup, set_up
from gateway.store import Work


def campaign(
    channel: Annotated[str, typer.Option(help="Id of the channel to send on.")],
    text: Annotated[
        Path, typer.Option(help="File with the text.", exists=True, dir_okay=False)
    ],
    to: Annotated[
        Path,
        typer.Option(
            help="File with addresses, one a line, e.g. whatsapp:393290000000.",
            exists=True,
            dir_okay=False,
        ),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    yes: Annotated[bool, typer.Option(help="Do not ask before sending.")] = False,
) -> None:
    """Send a notice to many citizens who have written before, behind all answers.

    Run again, the same text reaches nobody twice.
    """
    said = _read(text).strip()
    _require_channel(set_up(config), ChannelId(channel), said)
    uris = _addresses(to)
    readers = read(config, lambda c: find_readers(c, ChannelId(channel), uris))
    _show(readers)
    if not readers.conversations:
        raise typer.Exit(EXIT_FAILED)
    if not yes:
        typer.confirm("Send?", abort=True)
    made = Campaign(channel=ChannelId(channel), text=said)
    new = write_each(config, list(_batches(made, readers.conversations)))
    typer.echo(f"{sum(new)} notices are on their way")


def _batches(made: Campaign, readers: Sequence[str]) -> Iterator[Work[int]]:
    for start in range(0, len(readers), BATCH):
        some = readers[start : start + BATCH]
        yield partial(announce, campaign=made, readers=some, before=start, actor=ACTOR)


def _require_channel(setup: Setup, channel: ChannelId, said: str) -> None:
    """Complain about a channel that is not there, or a text that is no one message."""
    settings = setup.settings.channels
    if channel not in settings:
        text = f"no channel {channel}; there are: {', '.join(sorted(settings))}"
        raise NotFound(text)
    manners = setup.host.channel_types()[settings[channel].type].manners
    if not said:
        complain("the text is empty")
        raise typer.Exit(EXIT_FAILED)
    if len(manners.split(said)) > 1:
        complain(f"the text ({len(said)} characters) is too long for one message")
        raise typer.Exit(EXIT_FAILED)


def _read(file: Path) -> str:
    """Return a file's text; a mark at its begin, as Windows writes, is none of it."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = f"{file}: not UTF-8, save it as such"
        raise typer.BadParameter(text) from None


def _addresses(file: Path) -> Sequence[str]:
    """Return the addresses of a file; a line that is none is wrong usage."""
    uris = []
    for number, line in enumerate(_read(file).splitlines(), start=1):
        if not (uri := line.strip()):
            continue
        try:
            uris.append(str(Address.parse(uri)))
        except PayloadError:
            text = f"{file}:{number}: no address like whatsapp:393290000000"
            raise typer.BadParameter(text) from None
    return uris


def _show(readers: Readers) -> None:
    typer.echo(f"{len(readers.conversations)} citizens")
    if readers.skipped:
        typer.echo(
            f"{len(readers.skipped)} addresses never wrote there, or are blocked:"
        )
        for uri in readers.skipped:
            typer.echo(f"  {uri}")
