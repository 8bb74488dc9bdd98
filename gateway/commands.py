"""Commands of plugins: ``gateway <plugin> …``, and what they may use.

A command says where the configuration is by `ConfigOption` and opens it by
`CommandGroup.open`; only a plugin that the configuration enables can be opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from gateway.model import CaseId, Message, ServiceId

EXIT_FAILED = 1
"""The exit code of a command that found a problem."""

DEFAULT_CONFIG = Path("gateway.toml")

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="GATEWAY_CONFIG", help="Configuration file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A case of which people have shown whose it is, and what its citizen wrote.

    ``message`` is what it began with, as it was routed; ``text`` all that was written.
    """

    case_id: CaseId
    service: ServiceId
    text: str
    message: Message


class Desk(Protocol):
    """A configured gateway, opened for one command; it only reads."""

    @property
    def config(self) -> Any:
        """The plugin's own section."""

    @property
    def services(self) -> Sequence[ServiceId]:
        """The services there are, in the order of the configuration."""

    @property
    def default_service(self) -> ServiceId:
        """Who gets what nobody routes."""

    def decided(self) -> list[Decided]:
        """Return the decided cases, oldest first.

        Decided are those that were answered or closed, that were given to another
        service, or whose citizen has chosen it; the last word counts.
        """

    def message(self, message_id: str) -> Message:
        """Return a stored message.

        Raises:
            NotFound: there is none of that id.

        """


class CommandGroup(Protocol):
    """What a plugin adds its commands to."""

    @property
    def app(self) -> typer.Typer:
        """The group ``gateway <plugin>``: ``@group.app.command()``."""

    def open(self, config: Path) -> Desk:
        """Open a configuration.

        Raises:
            ConfigError: it is wrong, or does not enable the plugin.

        """

    def show(self, rows: Sequence[Any], *, as_json: bool, empty: str) -> None:
        """Print rows (mappings) as JSON, or as a table; say so if there are none."""
