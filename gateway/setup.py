"""From a configuration file to settings and loaded plugins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.config import Document, Kinds, Settings, enabled_plugins, load
from gateway.host import PluginHost, Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A configuration that is right, with the plugins it enables."""

    settings: Settings
    host: PluginHost


def set_up(path: Path) -> Setup:
    """Read ``path``, load the plugins it enables, and check all of it.

    Raises:
        ConfigError: with every problem of the file.
        PluginError: a plugin can't be loaded.

    """
    document = Document.read(path)
    plugins = enabled_plugins(document)
    host = PluginHost()
    host.load(plugins, path.parent)
    settings = load(document, kinds_of(host))
    host.known_services = frozenset(settings.services)
    host.timeouts = Timeouts(
        enrich=settings.pipeline.enrich_timeout,
        moderate=settings.pipeline.moderate_timeout,
        route=settings.pipeline.route_timeout,
    )
    return Setup(settings=settings, host=host)


def kinds_of(host: PluginHost) -> Kinds:
    """Return the configuration types that the loaded plugins own."""
    channels = {name: each.config for name, each in host.channel_types().items()}
    connectors = {name: each.config for name, each in host.connector_types().items()}
    return Kinds(
        channels=channels, connectors=connectors, plugins=host.plugin_sections()
    )
