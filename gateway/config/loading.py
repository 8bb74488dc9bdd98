"""From a document to settings, or to the list of all its problems."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.complaints import explain
from gateway.config.document import Document, KeyPath, name_of
from gateway.config.secrets import Resolver
from gateway.config.section import (
    AttachmentsSection,
    GatewaySection,
    HealthSection,
    LogSection,
    OutboxSection,
    PipelineSection,
    Section,
    Settings,
    StoreSection,
    WebSection,
)
from gateway.errors import ConfigError, Problem

SectionT = TypeVar("SectionT", bound=BaseModel)

CORE: Mapping[str, type[Section]] = {
    "gateway": GatewaySection,
    "store": StoreSection,
    "web": WebSection,
    "attachments": AttachmentsSection,
    "outbox": OutboxSection,
    "pipeline": PipelineSection,
    "log": LogSection,
    "health": HealthSection,
}
_TABLES = ("channels", "services", "plugins")
_ID = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ID_ALLOWED = "a lower-case name of up to 40 letters, digits, - and _"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """The configuration types that the loaded plugins own, by name."""

    channels: Mapping[str, type[Section]]
    connectors: Mapping[str, type[Section]]
    plugins: Mapping[str, type[Section]]


def plugin_name(entry: str) -> str:
    """Return the name of an enabled plugin: of a file, its stem."""
    return Path(entry.partition(":")[0]).stem if ".py:" in entry else entry


def read_gateway(document: Document) -> GatewaySection:
    """Read ``[gateway]`` alone: it names the plugins, which know the rest.

    Raises:
        ConfigError: with every problem of that section.

    """
    reader = _Reader(document)
    section = reader.section(GatewaySection, document.data.get("gateway"), ("gateway",))
    reader.finish()
    if section is None:
        raise AssertionError  # finish() raised what was wrong with it
    return section


def load(document: Document, kinds: Kinds) -> Settings:
    """Read the whole document.

    Raises:
        ConfigError: with every problem there is, in the order of the lines.

    """
    reader = _Reader(document)
    core = {
        name: reader.section(kind, document.data.get(name, {}), (name,))
        for name, kind in CORE.items()
    }
    channels = _Channels(reader, kinds).read()
    services = _Services(reader, kinds).read()
    plugins = _plugins(reader, kinds)
    _cross_check(reader, core["gateway"], services)
    reader.unknown_keys(document.data, (*CORE, *_TABLES), ())
    reader.finish()
    return _settled(document, core, channels, services, plugins)


def _settled(
    document: Document,
    core: Mapping[str, Any],
    channels: Mapping[str, Any],
    services: Mapping[str, Any],
    plugins: Mapping[str, Any],
) -> Settings:
    """Put the parts together; the data folder becomes absolute."""
    store: StoreSection = core["store"]
    data = (document.path.parent / store.data).resolve()
    return Settings.model_validate(
        {
            **core,
            "store": store.model_copy(update={"data": data}),
            "channels": channels,
            "services": services,
            "plugins": plugins,
        }
    )


class _Reader:
    """Reads sections and remembers what was wrong with them."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._problems: dict[tuple[str, str], Problem] = {}
        literal = frozenset({("store", "url")})
        self._literal: frozenset[KeyPath] = literal

    def complain(self, path: Sequence[str | int], found: str, allowed: str) -> None:
        """Note a problem, once."""
        problem = self.document.problem(path, found, allowed)
        self._problems.setdefault((problem.key, problem.found), problem)

    def finish(self) -> None:
        """Raise what was noted."""
        if self._problems:
            noted = self._problems.values()
            raise ConfigError(tuple(sorted(noted, key=lambda p: (p.line or 0, p.key))))

    def table(self, value: Any, path: KeyPath) -> Mapping[str, Any]:
        """Return a table, or an empty one and a complaint."""
        if isinstance(value, Mapping):
            return value
        if value is not None:
            self.complain(path, name_of(value), "a table")
        return {}

    def section(
        self, kind: type[SectionT], value: Any, path: KeyPath
    ) -> SectionT | None:
        """Return a section of ``kind``, or None after complaining."""
        values = self.table(value, path)
        resolver = Resolver(self.document.path.parent, literal=self._literal)
        resolved = resolver.resolve_section(values, kind, path)
        for where, found, allowed in resolver.complaints:
            self.complain(where, found, allowed)
        unresolved = {where for where, _, _ in resolver.complaints}
        self.unknown_keys(values, kind.model_fields, path)
        known = {k: v for k, v in resolved.items() if k in kind.model_fields}
        try:
            # JSON, for its strictness: "8080" is no integer, but a text may be a path.
            text = json.dumps(known, default=str)
            section = kind.model_validate_json(text, strict=True)
        except ValidationError as error:
            self._explain(error, kind, path, unresolved)
            return None
        return section if not resolver.complaints else None

    def _explain(
        self,
        error: ValidationError,
        kind: type[BaseModel],
        path: KeyPath,
        unresolved: set[KeyPath],
    ) -> None:
        for detail in error.errors(include_url=False):
            where, found, allowed = explain(detail, kind, path)
            if where not in unresolved:
                self.complain(where, found, allowed)

    def unknown_keys(
        self, values: Mapping[str, Any], known: Iterable[str], path: KeyPath
    ) -> None:
        """Complain of keys that mean nothing here; suggest the nearest."""
        names = list(known)
        for key in values:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                allowed = f"one of: {', '.join(names)}" if names else "nothing"
                self.complain((*path, key), f"an unknown key{hint}", allowed)

    def identified(self, name: str) -> list[tuple[str, Any]]:
        """Return the tables below ``[name.<id>]`` whose ids are in order."""
        tables = self.table(self.document.data.get(name), (name,))
        for key in tables:
            if not _ID.fullmatch(key):
                self.complain((name, key), f"the id {key!r}", _ID_ALLOWED)
        return [(key, value) for key, value in tables.items() if _ID.fullmatch(key)]

    def typed(
        self, value: Any, kinds: Mapping[str, type[Section]], path: KeyPath, what: str
    ) -> dict[str, Any] | None:
        """Return ``{type, config}`` of a table whose ``type`` names its section."""
        values = self.table(value, path)
        name = values.get("type")
        allowed = f"one of: {', '.join(sorted(kinds)) or f'no {what} is installed'}"
        if not isinstance(name, str):
            found = "nothing" if name is None else name_of(name)
            self.complain((*path, "type"), found, allowed)
            return None
        if name not in kinds:
            self.complain((*path, "type"), repr(name), allowed)
            return None
        rest = {key: each for key, each in values.items() if key != "type"}
        config = self.section(kinds[name], rest, path)
        return None if config is None else {"type": name, "config": config}


class _Channels:
    """Reads ``[channels.<id>]``."""

    def __init__(self, reader: _Reader, kinds: Kinds) -> None:
        self._reader = reader
        self._kinds = kinds

    def read(self) -> dict[str, Any]:
        tables = self._reader.identified("channels")
        if not self._reader.document.data.get("channels"):
            example = "at least one channel, e.g. [channels.urp]"
            self._reader.complain(("channels",), "nothing", example)
        return {
            key: self._reader.typed(
                value, self._kinds.channels, ("channels", key), "channel type"
            )
            for key, value in tables
        }


class _Services:
    """Reads ``[services.<id>]``."""

    def __init__(self, reader: _Reader, kinds: Kinds) -> None:
        self._reader = reader
        self._kinds = kinds

    def read(self) -> dict[str, Any]:
        return {
            key: self._service(value, ("services", key))
            for key, value in self._reader.identified("services")
        }

    def _service(self, value: Any, path: KeyPath) -> dict[str, Any]:
        values = self._reader.table(value, path)
        self._reader.unknown_keys(values, ("name", "connectors"), path)
        name = values.get("name")
        if not isinstance(name, str) or not name:
            found = "nothing" if name is None else name_of(name)
            self._reader.complain((*path, "name"), found, "the service's name")
        connectors = values.get("connectors")
        if not isinstance(connectors, list) or not connectors:
            found = "nothing" if connectors is None else name_of(connectors)
            example = 'a list, e.g. [{ type = "email", to = ["a@b.it"] }]'
            self._reader.complain((*path, "connectors"), found, example)
            connectors = []
        return {"name": name, "connectors": self._connectors(connectors, path)}

    def _connectors(self, values: list[Any], path: KeyPath) -> list[Any]:
        return [
            self._reader.typed(
                each,
                self._kinds.connectors,
                (*path, "connectors", index),
                "connector type",
            )
            for index, each in enumerate(values)
        ]


def _plugins(reader: _Reader, kinds: Kinds) -> dict[str, Any]:
    """Read ``[plugins.<name>]``; an enabled plugin without one gets its defaults."""
    tables = reader.table(reader.document.data.get("plugins"), ("plugins",))
    for name in tables:
        if name not in kinds.plugins:
            enabled = f"a plugin enabled in gateway.plugins: {', '.join(kinds.plugins)}"
            reader.complain(("plugins", name), "a plugin that is not enabled", enabled)
    return {
        name: reader.section(kind, tables.get(name, {}), ("plugins", name))
        for name, kind in kinds.plugins.items()
    }


def _cross_check(reader: _Reader, gateway: Any, services: Mapping[str, Any]) -> None:
    if gateway is not None and gateway.default_service not in services:
        allowed = f"one of: {', '.join(services) or 'no service is configured'}"
        found = repr(gateway.default_service)
        reader.complain(("gateway", "default_service"), found, allowed)
