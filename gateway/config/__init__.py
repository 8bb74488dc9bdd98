"""TOML → typed sections, all problems at once, JSON Schema out."""

from gateway.config.base import Section
from gateway.config.document import Document
from gateway.config.json_schema import schema
from gateway.config.loading import Kinds, enabled_plugins, load
from gateway.config.references import (
    ChannelReference,
    ServiceReference,
    channel_of_type,
)
from gateway.config.section import UNIQUE, NoConfig, Settings, plugin_name

__all__ = [
    "UNIQUE",
    "ChannelReference",
    "Document",
    "Kinds",
    "NoConfig",
    "Section",
    "ServiceReference",
    "Settings",
    "channel_of_type",
    "enabled_plugins",
    "load",
    "plugin_name",
    "schema",
]
