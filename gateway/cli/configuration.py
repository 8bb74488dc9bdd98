"""``gateway check``, ``schema``, ``plugins``: before the first message."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.app import Gateway
from gateway.cli.deliveries import found_in
from gateway.cli.opened import read_in
from gateway.cli.output import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    complain,
    dumps,
    show,
)
from gateway.config import Document, Kinds, enabled_plugins, plugin_name
from gateway.config import schema as json_schema
from gateway.errors import ConfigError, StoreError
from gateway.host import PluginHost
from gateway.model import HealthStatus
from gateway.setup import Setup, kinds_in, kinds_of, set_up
from gateway.store.migrate import current_revision
from gateway.store.schema import REVISION


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    connect: Annotated[
        bool, typer.Option(help="Also try each connection; nothing is sent.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration: every problem with file, line, found and allowed."""
    try:
        setup = set_up(config)
    except ConfigError as error:
        _show_problems(error, as_json=as_json)
        raise typer.Exit(EXIT_FAILED) from None
    gateway = Gateway(setup.settings, setup.host)
    rows = asyncio.run(gateway.try_connections()) if connect else []
    rows += _store(setup) if connect else []
    show(rows, as_json=as_json, empty="the configuration is right")
    if any(row["status"] == HealthStatus.DOWN.value for row in rows):
        raise typer.Exit(EXIT_FAILED)


def _store(setup: Setup) -> list[dict[str, str]]:
    """Return a row for what is wrong with the database, or waits in it for nobody."""
    url = setup.settings.store.resolved_url
    path = url.removeprefix("sqlite:///")
    if path != url and not Path(path).exists():
        return []
    try:
        if current_revision(url) != REVISION:
            # The daemon migrates it, or says what is to be done.
            return []
        depths = read_in(setup, partial(found_in, setup.settings))
    except StoreError as error:
        return [_row("store", HealthStatus.DOWN, str(error))]
    return [
        _row(
            f"store {queue}",
            HealthStatus.DEGRADED,
            f"nobody works on it: {depth.open} waiting, {depth.dead} given up;"
            " see `gateway deliveries move --help`, or configure it again",
        )
        for queue, depth in depths.items()
    ]


def _row(part: str, status: HealthStatus, text: str) -> dict[str, str]:
    return {"part": part, "status": status.value, "text": text}


def _show_problems(error: ConfigError, *, as_json: bool) -> None:
    if as_json:
        fields = ("file", "line", "key", "found", "allowed")
        rows = [{name: getattr(p, name) for name in fields} for p in error.problems]
        sys.stdout.write(dumps(rows) + "\n")
        return
    complain(str(error))
    complain(f"{len(error.problems)} problem(s)")


def schema(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Print the JSON Schema of the configuration file, for editors.

    Covers the plugins that the file enables, whatever else is wrong with it; all
    installed ones if there is no file.
    """
    kinds = kinds_in(config) if config.exists() else _all_kinds()
    sys.stdout.write(dumps(json_schema(kinds)) + "\n")


def _all_kinds() -> Kinds:
    host = PluginHost()
    host.load(sorted(host.installed()), DEFAULT_CONFIG.parent)
    return kinds_of(host)


def plugins(
    config: ConfigOption = DEFAULT_CONFIG, *, as_json: JsonOption = False
) -> None:
    """List the installed plugins and those in files, and what each offers."""
    entries = [*sorted(PluginHost().installed()), *_in_files(config)]
    rows = [_plugin(entry, config.parent) for entry in entries]
    show(rows, as_json=as_json, empty="no plugins are installed")


def _in_files(config: Path) -> list[str]:
    """Return the plugins that a configuration enables as files, if there is one."""
    if not config.exists():
        return []
    try:
        entries = enabled_plugins(Document.read(config))
    except ConfigError as error:
        complain(f"{error}\nplugins in files are not listed")
        return []
    return [entry for entry in entries if plugin_name(entry) != entry]


def _plugin(entry: str, folder: Path) -> dict[str, Any]:
    host = PluginHost()
    host.load([entry], folder)
    installed = host.installed().get(entry)
    found = installed.dist if installed else None
    return {
        "plugin": plugin_name(entry),
        "distribution": found.name if found else entry,
        "version": found.version if found else "",
        "channels": ", ".join(host.channel_types()),
        "connectors": ", ".join(host.connector_types()),
    }
