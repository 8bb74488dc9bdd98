"""The base of every section, and what the core's own sections hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    SerializeAsAny,
    model_validator,
)

from gateway.config.base import Section
from gateway.config.hours import (
    DeadlineKeys,
    DeadlinesSection,
    HoursSection,
    ServiceHours,
)
from gateway.config.references import ServiceReference
from gateway.model import ChannelId, ServiceId
from gateway.texts import LANGUAGES

MAY_BE_PLAIN = "x-may-be-plain"
"""Marks, in a field's schema, a secret that may also be written down."""

UNIQUE = "x-unique"
"""Marks, in a field's schema, what no two channels of a type may have in common."""

ID_PATTERN = "^[a-z][a-z0-9_-]{0,39}$"
"""What the id of a channel or service looks like."""

_MEBIBYTE = 1024 * 1024
_GIBIBYTE = 1024 * _MEBIBYTE
_YEAR_MINUTES = 365 * 24 * 60

_Bytes = Annotated[int, Field(ge=1, le=1024 * _GIBIBYTE)]
_Hours = Annotated[float, Field(gt=0, le=365 * 24)]
_Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]
_Count = Annotated[int, Field(ge=1, le=1000)]


def unique_fields(kind: type[Section]) -> list[str]:
    """Return the names of the fields that are marked as `UNIQUE`."""
    extras = {name: f.json_schema_extra for name, f in kind.model_fields.items()}
    return [n for n, e in extras.items() if isinstance(e, dict) and e.get(UNIQUE)]


class NoConfig(Section):
    """The section of a plugin that has nothing to configure."""


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a time zone of the IANA database, e.g. Europe/Rome") from None
    return name


_CASE_PATTERN = "URP-{year}-{number:06d}"
_PLACES = re.compile(r"\{(year|number)(?::0[1-9]d)?\}")


def _case_pattern(pattern: str) -> str:
    """Refuse a pattern under which two cases could get one number."""
    places = {match[1] for match in _PLACES.finditer(pattern)}
    rest = _PLACES.sub("", pattern)
    plain = rest.isprintable() and not {"{", "}"} & set(rest)
    if places != {"year", "number"} or not plain:
        raise ValueError(f"a pattern with year and number, e.g. {_CASE_PATTERN}")
    return pattern


def _ends_with_staff(rungs: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a ladder whose end nobody would see, or that goes round."""
    if not rungs or rungs[-1] != "staff" or len(set(rungs)) != len(rungs):
        raise ValueError(
            "template, other_address and staff, each once at most, staff last"
        )
    return rungs


def _distinct(entries: list[str]) -> list[str]:
    """Refuse two plugins of one name."""
    names = [plugin_name(entry) for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each plugin once; more than once: {', '.join(twice)}")
    return entries


def plugin_name(entry: str) -> str:
    """Return the name of an enabled plugin: of ``path/file.py:Class``, ``file``."""
    path, colon, _ = entry.rpartition(":")
    return Path(path).stem if colon and path.endswith(".py") else entry


def _database(url: SecretStr) -> SecretStr:
    """Refuse what names no database that we know; never quote it."""
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        known = parts.scheme == "postgresql" and parts.port != 0
    except ValueError:
        known = False
    if not known and not re.fullmatch(r"sqlite:///[^?#\x00]+", text):
        raise ValueError("sqlite:///file or postgresql://user@host/name")
    return url


class GatewaySection(Section):
    """``[gateway]``: who the city is, and which plugins work for it."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the city, as citizens read it."""

    plugins: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(min_length=1),
        AfterValidator(_distinct),
    ]
    """Enabled plugins, in the order in which they are asked."""

    default_service: ServiceReference
    """The service that gets what no rule routes."""

    language: Literal["it", "en", "de", "fr", "sl"] = "it"
    """Language of the texts to citizens; those after ``en`` need ``templates``."""

    templates: Path | None = None
    """Folder with your own words for the notices (docs/municipalities.md)."""

    timezone: Annotated[str, AfterValidator(_timezone)] = "Europe/Rome"
    """Time zone of the city: decides the year of a case number."""

    case_pattern: Annotated[
        str, Field(max_length=60), AfterValidator(_case_pattern)
    ] = _CASE_PATTERN
    """How cases are numbered: a text with ``{year}`` and ``{number:06d}``."""

    join_minutes: Annotated[int, Field(ge=1, le=_YEAR_MINUTES)] = 60
    """A citizen's next message within so many minutes joins the open case."""

    new_topic_confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    """A message that a rule gives to another service than that of the open case, with
    at least this confidence, opens a case of its own; without it, none does.
    """

    reopen_days: Annotated[int, Field(ge=0, le=3650)] = 30
    """For so many days an answer to a closed case opens it again; 0: never."""

    acknowledge: bool = True
    """Whether citizens get a notice with the case number."""

    ask_satisfaction: bool = False
    """Whether citizens are asked, once, how content they are when a case is closed."""

    answer_ladder: Annotated[
        tuple[Literal["template", "other_address", "staff"], ...],
        AfterValidator(_ends_with_staff),
    ] = ("template", "other_address", "staff")
    """What becomes of an answer that its channel can't take, in this order: a template,
    another address to which the citizen agreed, staff.
    """

    @model_validator(mode="after")
    def _check_templates(self) -> Self:
        """Refuse templates that would fail when they are needed."""
        if self.templates is not None:
            from gateway import wording  # noqa: PLC0415 (0.1 s that few cities need)

            if found := wording.problems(self.templates, self.language):
                raise ValueError(f"good templates: {'; '.join(found)}")
        elif self.language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise ValueError(f"language {known}, or another one with templates")
        return self


class StoreSection(Section):
    """``[store]``: where everything is kept."""

    url: Annotated[
        SecretStr,
        AfterValidator(_database),
        Field(json_schema_extra={MAY_BE_PLAIN: True}),
    ] = SecretStr("sqlite:///gateway.db")
    """Database: ``sqlite:///file`` (in ``data``) or ``postgresql://user@host/name``.

    With a password in it, it is a secret like any other.
    """

    data: Path = Path("data")
    """Folder for database and attachments, relative to the configuration file."""

    threads: Annotated[int, Field(ge=1, le=64)] = 4
    """Database threads (PostgreSQL)."""

    @property
    def resolved_url(self) -> str:
        """Return the URL with SQLite's file placed in the data folder."""
        url = self.url.get_secret_value()
        kind, slashes, path = url.partition(":///")
        if kind == "sqlite" and slashes:
            return f"sqlite:///{self.data / path}"
        return url


class WebSection(Section):
    """``[web]``: the edge, to be put behind a reverse proxy with TLS."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes a free one."""

    max_body_bytes: _Bytes = 4 * _MEBIBYTE
    """Largest request."""

    min_free_bytes: Annotated[int, Field(ge=0, le=2**60)] = _GIBIBYTE
    """With less disk space free, nothing is accepted (503)."""


class AttachmentsSection(Section):
    """``[attachments]``: photos, voice messages, documents."""

    max_bytes: _Bytes = 25 * _MEBIBYTE
    """Largest attachment."""

    wait_seconds: Annotated[float, Field(ge=0, le=24 * 3600)] = 900
    """How long a delivery waits for its attachments."""

    max_age_hours: _Hours = 168
    """How long a missing attachment is asked for."""


def _https(url: str) -> str:
    """Refuse what no browser of a citizen could or should open."""
    parts = urlsplit(url)
    host = parts.hostname
    plain = parts.scheme == "http" and host in {"localhost", "127.0.0.1", "::1"}
    rest = parts.query or parts.fragment or parts.username
    if not host or rest or not (plain or parts.scheme == "https"):
        raise ValueError("an address with https://, e.g. https://gateway.example.it")
    return url


class LinksSection(Section):
    """``[links]``: files too large to be sent are offered for download instead."""

    base_url: Annotated[str, AfterValidator(_https)] | None = None
    """Address under which the world reaches the web edge, e.g. ``https://gw.example.it``."""

    key: Annotated[SecretStr, Field(min_length=16)] | None = None
    """Secret that signs the links, 16 characters at least; a new one ends them all."""

    days: Annotated[int, Field(ge=1, le=365)] = 30
    """How many days a link works."""

    @model_validator(mode="after")
    def _check_both(self) -> Self:
        if (self.base_url is None) is not (self.key is None):
            raise ValueError("base_url and key together, or neither of them")
        return self


class OutboxSection(Section):
    """``[outbox]``: how deliveries are attempted."""

    max_age_hours: _Hours = 120
    """A delivery is given up (dead letter) after this."""

    backoff_seconds: _Seconds = 5
    """Base of the growing pause between attempts."""

    backoff_cap_seconds: _Seconds = 3600
    """Longest pause between attempts."""

    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = 60
    """How long a worker owns a job without a sign of life."""

    concurrency: _Count = 8
    """Deliveries at once, to each target."""

    breaker_failures: _Count = 5
    """Failures in a row after which a target is left alone."""

    breaker_seconds: _Seconds = 30
    """How long a target is left alone before a probe."""


class PipelineSection(Section):
    """``[pipeline]``: how messages are processed."""

    concurrency: _Count = 64
    """Messages at once."""

    poll_seconds: _Seconds = 1.0
    """How often workers look for work that nobody announced."""

    enrich_timeout: _Seconds = 5.0
    """Seconds a plugin may take to enrich a message."""

    moderate_timeout: _Seconds = 5.0
    """Seconds a plugin may take to moderate a message."""

    route_timeout: _Seconds = 2.0
    """Seconds a plugin may take to route a message."""

    max_crashes: _Count = 3
    """A job that crashed its worker so often is put into the dead letters."""


class LogSection(Section):
    """``[log]``: what is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""

    format: Literal["json", "console"] = "json"
    """JSON lines for programs, or console lines for people."""


class HealthSection(Section):
    """``[health]``: when the node is no longer ready."""

    max_ready_age_seconds: _Seconds = 60
    """Not ready if a message has waited longer than this."""


class ChannelSettings(Section):
    """One ``[channels.<id>]``: its type, and the section that the type owns."""

    type: str
    """Name under which a plugin registered it."""

    config: SerializeAsAny[Section]
    """The type's own section."""


class ConnectorSettings(Section):
    """One connector of a service."""

    type: str
    """Name under which a plugin registered it."""

    config: SerializeAsAny[Section]
    """The type's own section."""


class ServiceSettings(DeadlineKeys):
    """One ``[services.<id>]``."""

    name: str
    """Name of the office, as people read it."""

    connectors: tuple[ConnectorSettings, ...]
    """How it is reached; each gets what those before could not deliver."""

    fallback_after_minutes: float
    """After so long the next connector gets what one could not deliver."""

    hours: ServiceHours = ServiceHours()
    """When it is open, if not when the others are."""


class Settings(Section):
    """A whole configuration, every section typed by the plugin that owns it."""

    gateway: GatewaySection
    store: StoreSection
    web: WebSection
    attachments: AttachmentsSection
    links: LinksSection
    outbox: OutboxSection
    pipeline: PipelineSection
    log: LogSection
    health: HealthSection
    hours: HoursSection
    deadlines: DeadlinesSection
    channels: dict[ChannelId, ChannelSettings]
    services: dict[ServiceId, ServiceSettings]
    plugins: dict[str, SerializeAsAny[Section]]
