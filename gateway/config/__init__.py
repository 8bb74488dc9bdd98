"""TOML → typed sections, all problems at once, JSON Schema out."""

from gateway.config.document import Document
from gateway.config.json_schema import schema
from gateway.config.loading import Kinds, load, plugin_name, read_gateway
from gateway.config.section import NoConfig, Section, Settings

__all__ = [
    "Document",
    "Kinds",
    "NoConfig",
    "Section",
    "Settings",
    "load",
    "plugin_name",
    "read_gateway",
    "schema",
]
