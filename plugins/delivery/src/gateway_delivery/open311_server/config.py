"""Configuration of the channel by which programs report in GeoReport v2."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gateway.plugin import Section, ServiceReference
from gateway_delivery.config import Url

_Key = Annotated[SecretStr, Field(min_length=16)]
_Text = Annotated[str, Field(max_length=500)]


class ReportedService(Section):
    """``{ code = "001", name = "Buche", service = "strade" }``."""

    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    """What programs call it; keep it: reports are found again by it."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What citizens call it."""

    service: ServiceReference | None = None
    """The service that gets these reports; without one the rules of routing decide."""

    description: _Text = ""
    """What belongs here, for citizens."""

    group: _Text = ""
    """Heading under which it is listed."""

    keywords: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """Words by which it is found."""


def _distinct(services: list[ReportedService]) -> list[ReportedService]:
    codes = [each.code for each in services]
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ValueError(f"each code once; more than once: {', '.join(twice)}")
    return services


class Open311ServerConfig(Section):
    """``[channels.<id>] type = "open311"``: the city's app reports here."""

    api_keys: Annotated[list[_Key], Field(min_length=1, max_length=2)]
    """Keys of who may report, of 16 characters at least; two while one is replaced."""

    services: Annotated[
        list[ReportedService], Field(min_length=1), AfterValidator(_distinct)
    ]
    """What can be reported."""

    jurisdiction_id: str = ""
    """The city; who names another one is told so."""

    publish: bool = False
    """Whether who has no key may read kind, place, status and dates of reports."""

    base_url: Url | None = None
    """Address under which the world reaches this channel, for discovery."""

    contact: _Text = ""
    """Whom to ask for a key, for discovery."""
