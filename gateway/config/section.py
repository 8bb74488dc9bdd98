"""The base of every section, and what the core's own sections hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    SerializeAsAny,
)

from gateway.model import ChannelId, ServiceId

MEBIBYTE = 1024 * 1024


class Section(BaseModel):
    """Base of every configuration section: strict, and frozen once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class NoConfig(Section):
    """The section of a plugin that has nothing to configure."""


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("a time zone of the IANA database, e.g. Europe/Rome") from None
    return name


def _case_pattern(pattern: str) -> str:
    """Refuse a pattern under which two cases could get one number."""
    complaint = "a pattern with year and number, e.g. URP-{year}-{number:06d}"
    try:
        made = {
            pattern.format(year=year, number=number)
            for year in (2026, 2027)
            for number in (1, 2)
        }
    except (KeyError, ValueError, IndexError, AttributeError):
        raise ValueError(complaint) from None
    if len(made) != 4:  # noqa: PLR2004 (two years times two numbers)
        raise ValueError(complaint)
    return pattern


class GatewaySection(Section):
    """``[gateway]``: who the city is, and which plugins work for it."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the city, as citizens read it."""

    plugins: Annotated[list[str], Field(min_length=1)]
    """Enabled plugins, in the order in which they are asked."""

    default_service: ServiceId
    """The service that gets what no rule routes."""

    language: Literal["it", "en"] = "it"
    """Language of the texts to citizens."""

    timezone: Annotated[str, AfterValidator(_timezone)] = "Europe/Rome"
    """Time zone of the city: decides the year of a case number."""

    case_pattern: Annotated[str, AfterValidator(_case_pattern)] = (
        "URP-{year}-{number:06d}"
    )
    """How cases are numbered."""

    join_minutes: PositiveInt = 60
    """A citizen's next message within so many minutes joins the open case."""

    acknowledge: bool = True
    """Whether citizens get a notice with the case number."""


class StoreSection(Section):
    """``[store]``: where everything is kept."""

    url: Annotated[SecretStr, Field(json_schema_extra={"x-may-be-plain": True})] = (
        SecretStr("sqlite:///gateway.db")
    )
    """Database: ``sqlite:///file`` (in `data`) or ``postgresql://user@host/name``."""

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

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes a free one."""

    max_body_bytes: PositiveInt = 4 * MEBIBYTE
    """Largest request."""

    min_free_bytes: Annotated[int, Field(ge=0)] = 1024 * MEBIBYTE
    """With less disk space free, nothing is accepted (503)."""


class AttachmentsSection(Section):
    """``[attachments]``: photos, voice messages, documents."""

    max_bytes: PositiveInt = 25 * MEBIBYTE
    """Largest attachment."""

    wait_seconds: Annotated[float, Field(ge=0)] = 900
    """How long a delivery waits for its attachments."""

    max_age_hours: PositiveFloat = 168
    """How long a missing attachment is asked for."""


class OutboxSection(Section):
    """``[outbox]``: how deliveries are attempted."""

    max_age_hours: PositiveFloat = 120
    """A delivery is given up (dead letter) after this."""

    backoff_seconds: PositiveFloat = 5
    """Base of the growing pause between attempts."""

    backoff_cap_seconds: PositiveFloat = 3600
    """Longest pause between attempts."""

    lease_seconds: Annotated[float, Field(ge=1)] = 60
    """How long a worker owns a job without a sign of life."""

    concurrency: Annotated[int, Field(ge=1, le=1000)] = 8
    """Deliveries at once, to each target."""

    breaker_failures: PositiveInt = 5
    """Failures in a row after which a target is left alone."""

    breaker_seconds: PositiveFloat = 30
    """How long a target is left alone before a probe."""


class PipelineSection(Section):
    """``[pipeline]``: how messages are processed."""

    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    """Messages at once."""

    poll_seconds: PositiveFloat = 1.0
    """How often workers look for work that nobody announced."""

    enrich_timeout: PositiveFloat = 5.0
    """Seconds a plugin may take to enrich a message."""

    moderate_timeout: PositiveFloat = 5.0
    """Seconds a plugin may take to moderate a message."""

    route_timeout: PositiveFloat = 2.0
    """Seconds a plugin may take to route a message."""

    max_crashes: PositiveInt = 3
    """A job that crashed its worker so often is put into the dead letters."""


class LogSection(Section):
    """``[log]``: what is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""

    format: Literal["json", "console"] = "json"
    """JSON lines for programs, or console lines for people."""


class HealthSection(Section):
    """``[health]``: when the node is no longer ready."""

    max_ready_age_seconds: PositiveFloat = 60
    """Not ready if a message has waited longer than this."""


class ChannelSettings(Section):
    """One ``[channels.<id>]``: its type, and the section that the type owns."""

    type: str
    config: SerializeAsAny[Section]


class ConnectorSettings(Section):
    """One connector of a service."""

    type: str
    config: SerializeAsAny[Section]


class ServiceSettings(Section):
    """One ``[services.<id>]``."""

    name: str
    connectors: tuple[ConnectorSettings, ...]


class Settings(Section):
    """A whole configuration, every section typed by the plugin that owns it."""

    gateway: GatewaySection
    store: StoreSection
    web: WebSection
    attachments: AttachmentsSection
    outbox: OutboxSection
    pipeline: PipelineSection
    log: LogSection
    health: HealthSection
    channels: dict[ChannelId, ChannelSettings]
    services: dict[ServiceId, ServiceSettings]
    plugins: dict[str, SerializeAsAny[Section]]
