"""From a document to settings, or to the list of all its problems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from gateway.config.base import Section
from gateway.config.complaints import Complaint, nearest, show
from gateway.config.document import Document, KeyPath, name_of
from gateway.config.form import SECRET
from gateway.config.hours import (
    DeadlineKeys,
    DeadlinesSection,
    HoursSection,
    ServiceHours,
)
from gateway.config.reader import Reader
from gateway.config.section import (
    ID_PATTERN,
    AttachmentsSection,
    GatewaySection,
    HealthSection,
    LinksSection,
    LogSection,
    OutboxSection,
    PipelineSection,
    Settings,
    StoreSection,
    WebSection,
    plugin_name,
    unique_fields,
)

CORE: Mapping[str, type[Section]] = {
    "gateway": GatewaySection,
    "store": StoreSection,
    "web": WebSection,
    "attachments": AttachmentsSection,
    "links": LinksSection,
    "outbox": OutboxSection,
    "pipeline": PipelineSection,
    "log": LogSection,
    "health": HealthSection,
    "hours": HoursSection,
    "deadlines": DeadlinesSection,
}
_TABLES = ("channels", "services", "plugins")
_ID_ALLOWED = "an id of up to 40 of a-z, 0-9, - and _, the first of them a letter"
_EXAMPLES = {
    "channels": "at least one channel, e.g. [channels.urp]",
    "services": "at least one service, e.g. [services.urp]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """The configuration types that the loaded plugins own, by name."""

    channels: Mapping[str, type[Section]]
    connectors: Mapping[str, type[Section]]
    plugins: Mapping[str, type[Section]]
    gaps: tuple[Complaint, ...] = ()
    """What is wrong with ``gateway.plugins``: with it, not all types are known."""


class ServiceTable(DeadlineKeys):
    """A ``[services.<id>]`` whose connectors are not read yet."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the office, as people read it."""

    connectors: Annotated[list[dict[str, Any]], Field(min_length=1)]
    """How the office is reached, e.g. ``[{ type = "email", to = ["a@b.it"] }]``.

    Each gets what those before could not deliver.
    """

    fallback_after_minutes: Annotated[float, Field(gt=0, le=60 * 24 * 365)] = 60
    """After so long the next connector gets what one could not deliver."""

    hours: ServiceHours = ServiceHours()
    """When it is open, if not when the city's offices are."""


def enabled_plugins(document: Document) -> list[str]:
    """Return ``gateway.plugins`` alone: the plugins then know how to read the rest.

    Raises:
        ConfigError: the list is wrong; with it all that can be told without plugins.

    """
    reader = Reader(document)
    _outline(reader)
    is_table = isinstance(document.data.get("gateway"), Mapping)
    if not is_table or reader.is_wrong(("gateway", "plugins")):
        reader.finish()
    # What else is wrong is for `load` to tell, together with the rest of the file.
    return list(document.data["gateway"]["plugins"])


def load(document: Document, kinds: Kinds) -> Settings:
    """Read the whole document.

    Raises:
        ConfigError: with every problem there is, in the order of the lines.

    """
    reader = Reader(document)
    for gap in kinds.gaps:
        reader.complain(*gap)
    parts = {
        **_outline(reader),
        "channels": _channels(reader, kinds),
        "plugins": _plugins(reader, kinds),
    }
    tables: Mapping[str, ServiceTable | None] = parts["services"]
    parts["services"] = {
        key: _service(reader, table, kinds, ("services", key))
        for key, table in tables.items()
    }
    _check_deadlines(reader, parts["deadlines"], tables)
    reader.finish()
    store: StoreSection = parts["store"]
    data = (document.path.parent / store.data).resolve()
    parts["store"] = store.model_copy(update={"data": data})
    return Settings.model_validate(parts)


def _outline(reader: Reader) -> dict[str, Any]:
    """Read what needs no plugin: the core's sections, and the names of services."""
    reader.known_keys(reader.data, (*CORE, *_TABLES), ())
    core = {
        name: reader.section(kind, reader.data.get(name), (name,))
        for name, kind in CORE.items()
    }
    services = {
        key: reader.section(ServiceTable, value, ("services", key))
        for key, value in _by_id(reader, "services")
    }
    _by_id(reader, "channels")
    _forbid_password(reader)
    return {**core, "services": services}


def _channels(reader: Reader, kinds: Kinds) -> dict[str, Any]:
    """Read ``[channels.<id>]``."""
    channels = {
        key: _typed(reader, value, kinds, kinds.channels, ("channels", key))
        for key, value in _by_id(reader, "channels")
    }
    _distinct(reader, channels)
    return channels


def _distinct(reader: Reader, channels: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Complain of a value that a channel must have for itself, and that two have."""
    owners: dict[tuple[str, str, Any], str] = {}
    for key, each in channels.items():
        if each is None:
            continue
        for name in unique_fields(type(each["config"])):
            value = getattr(each["config"], name)
            owner = owners.setdefault((each["type"], name, value), key)
            if owner != key:
                found = f"{show(value)}, which is that of channels.{owner}"
                path = ("channels", key, name)
                reader.complain(path, found, "one of its own for each channel")


def _service(
    reader: Reader, table: ServiceTable | None, kinds: Kinds, path: KeyPath
) -> dict[str, Any] | None:
    """Read the connectors of a service, also if something else is wrong with it."""
    value = reader.data["services"][path[-1]]
    given = value.get("connectors") if isinstance(value, Mapping) else None
    connectors = [
        _typed(reader, each, kinds, kinds.connectors, (*path, "connectors", index))
        for index, each in enumerate(given if isinstance(given, list) else [])
    ]
    if table is None:
        return None
    kept = {key: getattr(table, key) for key in ServiceTable.model_fields}
    return {**kept, "connectors": connectors}


def _check_deadlines(
    reader: Reader,
    default: DeadlinesSection | None,
    tables: Mapping[str, ServiceTable | None],
) -> None:
    """Complain of rules on deadlines that could never do what they say."""
    if default is None:
        return
    rules: dict[KeyPath, DeadlineKeys] = {("deadlines",): default} | {
        ("services", key): table for key, table in tables.items() if table is not None
    }
    for path, own in rules.items():
        rule = own.over(default)
        hours, before = rule.deadline_hours, rule.remind_before_hours
        late = before is not None and (hours is None or before >= hours)
        if late and path[-1] != "deadlines":
            allowed = f"less than deadline_hours, {hours or 'which is not given'}"
            reader.complain((*path, "remind_before_hours"), f"number {before}", allowed)
        if own.escalate_to == path[-1]:
            found = f"{own.escalate_to!r}, the service itself"
            reader.complain((*path, "escalate_to"), found, "another service")


def _plugins(reader: Reader, kinds: Kinds) -> dict[str, Any]:
    """Read ``[plugins.<name>]``; an enabled plugin without one gets its defaults."""
    tables = reader.table(reader.data.get("plugins"), ("plugins",)) or {}
    gone = _not_loaded(reader, kinds)
    for name in tables:
        # One that is like the name of a plugin not loaded is probably meant for it.
        if name not in kinds.plugins and not nearest(name, gone):
            near = nearest(name, kinds.plugins)
            enabled = ", ".join([*kinds.plugins, *gone])
            allowed = f"a plugin of gateway.plugins: {enabled}"
            found = f"a plugin that is not enabled{near}"
            reader.complain(("plugins", name), found, allowed)
    return {
        name: reader.section(kind, tables.get(name), ("plugins", name))
        for name, kind in kinds.plugins.items()
    }


def _not_loaded(reader: Reader, kinds: Kinds) -> list[str]:
    """Return the names of the enabled plugins whose types are not known."""
    if not kinds.gaps:
        return []
    names = map(plugin_name, reader.data["gateway"]["plugins"])
    return [name for name in names if name not in kinds.plugins]


def _by_id(reader: Reader, name: str) -> Iterable[tuple[str, Any]]:
    """Return the tables ``[name.<id>]``; complain of ids, and if there are none."""
    tables = reader.table(reader.data.get(name), (name,))
    if not tables and tables is not None:
        reader.complain((name,), "nothing", _EXAMPLES[name])
    for key in tables or {}:
        if not re.fullmatch(ID_PATTERN, key):
            reader.complain((name, key), f"the id {key!r}", _ID_ALLOWED)
    return (tables or {}).items()


def _typed(
    reader: Reader,
    value: Any,
    kinds: Kinds,
    types: Mapping[str, type[Section]],
    path: KeyPath,
) -> dict[str, Any] | None:
    """Return ``{type, config}`` of a table whose ``type`` names its section."""
    values = reader.table(value, path)
    if values is None:
        return None
    name = values.get("type")
    kind = types.get(name) if isinstance(name, str) else None
    if kind is None:
        complaint = _no_type(name, types, complete=not kinds.gaps)
        if complaint:
            reader.complain((*path, "type"), *complaint)
        return None
    rest = {key: each for key, each in values.items() if key != "type"}
    config = reader.section(kind, rest, path)
    return None if config is None else {"type": name, "config": config}


def _no_type(
    name: Any, types: Iterable[str], *, complete: bool
) -> tuple[str, str] | None:
    """Say what is found and allowed for a type that is not among ``types``.

    Where these are not complete, another name may be as good: None.
    """
    there = ", ".join(sorted(types))
    allowed = f"one of: {there}" if there else "no enabled plugin offers any"
    if isinstance(name, str):
        return (f"{name!r}{nearest(name, types)}", allowed) if complete else None
    found = "nothing" if name is None else name_of(name)
    return found, allowed if complete else "a type that an enabled plugin offers"


def _forbid_password(reader: Reader) -> None:
    """Refuse a password in the URL, also if something else is wrong with it."""
    store = reader.data.get("store")
    if isinstance(store, Mapping) and _has_password(store.get("url")):
        reader.complain(("store", "url"), "a password in clear text", SECRET)


def _has_password(url: Any) -> bool:
    try:
        return isinstance(url, str) and urlsplit(url).password is not None
    except ValueError:
        return False
