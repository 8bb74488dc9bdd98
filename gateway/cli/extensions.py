"""Commands of plugins, found when they are asked for.

The core's commands load no plugin: only a name that is none of theirs, and the list of
``gateway --help``, do. A plugin that can't be loaded has no commands there; used, it
says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from gateway import messages
from gateway.cli.opened import read_in
from gateway.cli.output import DEFAULT_CONFIG, show
from gateway.commands import Decided, Desk
from gateway.config import Document, enabled_plugins, plugin_name
from gateway.decided import decided
from gateway.errors import ConfigError, GatewayError, PluginError
from gateway.host import PluginHost
from gateway.model import Message, ServiceId
from gateway.setup import Setup, set_up

_HOOK = b"register_commands"


@dataclass(frozen=True, slots=True)
class _OpenedDesk:
    setup: Setup
    config: Any

    @property
    def services(self) -> Sequence[ServiceId]:
        return list(self.setup.settings.services)

    @property
    def default_service(self) -> ServiceId:
        return self.setup.settings.gateway.default_service

    def decided(self) -> list[Decided]:
        return read_in(self.setup, decided)

    def message(self, message_id: str) -> Message:
        found = read_in(self.setup, lambda c: messages.load(c, [message_id]))
        return found[message_id]


@dataclass(frozen=True)
class _Group:
    name: str

    @cached_property
    def app(self) -> typer.Typer:
        return typer.Typer(name=self.name, no_args_is_help=True, add_completion=False)

    def open(self, config: Path) -> Desk:
        setup = set_up(config)
        section = setup.settings.plugins.get(self.name)
        if section is None:
            allowed = f"a list with {self.name!r}, whose commands are used"
            path = ("gateway", "plugins")
            found = ", ".join(setup.settings.gateway.plugins)
            problem = Document.read(config).problem(path, found, allowed)
            raise ConfigError((problem,))
        return _OpenedDesk(setup, section)

    def show(self, rows: Sequence[Any], *, as_json: bool, empty: str) -> None:
        show(rows, as_json=as_json, empty=empty)


class WithPlugins(TyperGroup):
    """The core's commands, and after them those of the plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all, the core's first."""
        core = super().list_commands(ctx)
        others = [name for name in _entries() if name not in core]
        return [*core, *(name for name in others if _has_commands(name))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a name; None if neither core nor plugin has it.

        Raises:
            PluginError: it is the name of a plugin that can't be loaded.

        """
        return super().get_command(ctx, cmd_name) or _command(cmd_name)


def _has_commands(name: str) -> bool:
    if not _speaks_of_commands(name):
        return False
    try:
        return _command(name) is not None
    except PluginError:
        return False


def _speaks_of_commands(name: str) -> bool:
    """Tell whether a plugin's module can have commands, without loading it.

    To load all that are installed, only for a list, takes a third of a second.
    """
    installed = PluginHost.installed().get(name)
    if installed is None:
        return True
    try:
        spec = find_spec(installed.module)
    except (ImportError, ValueError):
        return False
    origin = spec.origin if spec else None
    return origin is None or _HOOK in Path(origin).read_bytes()


def _command(name: str) -> Any:
    """Return the commands of a plugin, if there is one and it has any."""
    entry = _entries().get(name)
    if entry is None:
        return None
    host = PluginHost()
    host.load([entry], DEFAULT_CONFIG.parent)
    group = _Group(name)
    return get_command(group.app) if host.register_commands(name, group) else None


def _entries() -> dict[str, str]:
    """Return the plugins that may have commands, and how each is loaded."""
    entries = {name: name for name in sorted(PluginHost.installed())}
    if DEFAULT_CONFIG.exists():
        try:
            enabled = enabled_plugins(Document.read(DEFAULT_CONFIG))
        except GatewayError:
            # Whoever needs the configuration says what is wrong with it.
            return entries
        entries |= {plugin_name(entry): entry for entry in enabled}
    return entries
