"""Finds the class of a plugin: an installed entry point, or a single file."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from gateway.errors import PluginError, UnknownPlugin
from gateway.plugin import Plugin, Section

GROUP = "gateway.plugins"
"""The entry point group of plugins."""


def installed() -> dict[str, EntryPoint]:
    """Return the installed plugins by name; installed is not enabled."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load(name: str, base: Path) -> tuple[str, Plugin[Any]]:
    """Return the plugin that ``name`` of the allow-list stands for, with its own name.

    Raises:
        UnknownPlugin: none of that name is installed.
        PluginError: it can't be imported, or it is no plugin.

    """
    path, colon, class_name = name.rpartition(":")
    if colon and path.endswith(".py"):
        file = base / path
        return file.stem, _make(name, _class_in_file(file, class_name))
    return name, _make(name, _class_of_entry(name))


def require_plugin(name: str, plugin: object) -> Plugin[Any]:
    """Return ``plugin`` if it is one.

    Raises:
        PluginError: it is something else, or its configuration is no section.

    """
    if not isinstance(plugin, Plugin):
        kind = plugin if isinstance(plugin, type) else type(plugin)
        found = kind.__qualname__
        raise PluginError(
            f"plugin {name}: found {found}; wanted a subclass of gateway.plugin.Plugin"
        )
    if not issubclass(plugin.config, Section):
        found = plugin.config.__qualname__
        raise PluginError(
            f"plugin {name}: its configuration is {found};"
            " wanted a subclass of gateway.plugin.Section"
        )
    return plugin


def _class_of_entry(name: str) -> object:
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        raise UnknownPlugin(name, tuple(sorted(installed())))
    if len(found) > 1:
        both = ", ".join(sorted(_distribution(entry) for entry in found))
        raise PluginError(
            f"plugin {name} is offered by several distributions: {both};"
            " uninstall all but one"
        )
    try:
        return found[0].load()
    except Exception as error:
        raise _not_loadable(f"{name} of {_distribution(found[0])}", error) from error


def _class_in_file(file: Path, class_name: str) -> object:
    if not file.is_file():
        raise PluginError(f"plugin file {file} is not there")
    module_name = f"gateway_one_file_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin file {file} can't be imported")
    module = importlib.util.module_from_spec(spec)
    # Type hints and dataclasses look their module up here.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise _not_loadable(f"file {file}", error) from error
    try:
        found: object = getattr(module, class_name)
    except AttributeError:
        raise PluginError(f"plugin file {file} has no class {class_name}") from None
    return found


def _make(name: str, found: object) -> Plugin[Any]:
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        return require_plugin(name, found)
    try:
        plugin = found()
    except Exception as error:
        raise _not_loadable(name, error) from error
    return require_plugin(name, plugin)


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"


def _not_loadable(what: str, error: Exception) -> PluginError:
    cause = f"{type(error).__name__}: {error}"
    return PluginError(f"plugin {what} can't be loaded: {cause}")
