"""From a configuration file to settings and loaded plugins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gateway.config import Document, Kinds, Settings, enabled_plugins, load
from gateway.config.complaints import Complaint, nearest
from gateway.errors import ConfigError, PluginError, UnknownPlugin
from gateway.host import PluginHost, Timeouts

_PLUGINS = ("gateway", "plugins")
_IN_A_FILE = "path/to/file.py:ClassName"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A configuration that is right, with the plugins it enables."""

    settings: Settings
    host: PluginHost


def set_up(path: Path) -> Setup:
    """Read ``path``, load the plugins it enables, and check all of it.

    Raises:
        ConfigError: with every problem of the file, also plugins that can't be loaded.

    """
    document = Document.read(path)
    host, kinds = _loaded(document)
    settings = load(document, kinds)
    host.known_services = frozenset(settings.services)
    host.timeouts = Timeouts(
        enrich=settings.pipeline.enrich_timeout,
        moderate=settings.pipeline.moderate_timeout,
        route=settings.pipeline.route_timeout,
    )
    return Setup(settings=settings, host=host)


def kinds_in(path: Path) -> Kinds:
    """Return the types that the plugins enabled in ``path`` own.

    Raises:
        ConfigError: ``gateway.plugins`` is wrong; nothing else matters.

    """
    document = Document.read(path)
    _, kinds = _loaded(document)
    if kinds.gaps:
        raise ConfigError(tuple(document.problem(*gap) for gap in kinds.gaps))
    return kinds


def kinds_of(host: PluginHost) -> Kinds:
    """Return the configuration types that the loaded plugins own.

    Raises:
        PluginError: two plugins offer the same, or one fails.

    """
    channels = {name: each.config for name, each in host.channel_types().items()}
    connectors = {name: each.config for name, each in host.connector_types().items()}
    return Kinds(
        channels=channels, connectors=connectors, plugins=host.plugin_sections()
    )


def _loaded(document: Document) -> tuple[PluginHost, Kinds]:
    """Load what can be loaded of the enabled plugins; the rest are gaps."""
    host = PluginHost()
    gaps = []
    for index, entry in enumerate(enabled_plugins(document)):
        try:
            host.load([entry], document.path.parent)
        except PluginError as error:
            gaps.append(_gap(index, entry, error))
    try:
        kinds = kinds_of(host)
    except PluginError as error:
        allowed = "plugins that each register types of their own"
        gaps.append(Complaint(_PLUGINS, str(error), allowed))
        kinds = Kinds(channels={}, connectors={}, plugins=host.plugin_sections())
    return host, replace(kinds, gaps=tuple(gaps))


def _gap(index: int, entry: str, error: PluginError) -> Complaint:
    """Say why the plugin ``entry`` of the list can't be loaded."""
    path = (*_PLUGINS, index)
    if not isinstance(error, UnknownPlugin):
        return Complaint(path, f"{entry!r} ({error})", "a plugin that can be loaded")
    found = f"{entry!r}{nearest(entry, error.installed)}"
    names = ", ".join(error.installed)
    allowed = f"one of: {names}; or {_IN_A_FILE}" if names else _IN_A_FILE
    return Complaint(path, found, allowed)
