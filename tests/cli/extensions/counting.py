"""A plugin with a command."""

from pathlib import Path

import typer

from gateway.commands import DEFAULT_CONFIG, CommandGroup, ConfigOption
from gateway.plugin import Plugin, Section, hookimpl


class CountingConfig(Section):
    """What to count by."""

    unit: int = 1
    """How much each counts."""


class Counting(Plugin[CountingConfig]):
    """Counts."""

    @hookimpl
    def register_commands(self, group: CommandGroup) -> None:
        """Add the one command."""

        @group.app.callback()
        def about() -> None:
            """Count what there is."""

        @group.app.command()
        def services(config: ConfigOption = DEFAULT_CONFIG, times: int = 1) -> None:
            """Count the services."""
            desk = group.open(Path(config))
            for service in desk.services:
                typer.echo(f"{service} {times * desk.config.unit}")
