"""A report as it is posted, and as the office reads it; pure.

Source: GeoReport v2, *POST Service Request*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Final, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from gateway.errors import PayloadError
from gateway.model import Location
from gateway_delivery import texts
from gateway_delivery.letter import line, visible
from gateway_delivery.open311_server.refused import Refused
from gateway_delivery.texts import Texts

KEY: Final = "api_key"
MOST_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 100
_ATTRIBUTE: Final = "attribute["

_Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
_Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
_Description = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)
]
_Degrees = Field(default=None, allow_inf_nan=False)


class Report(BaseModel):
    """One report; what else a form holds is kept in the original."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    service_code: Annotated[str, StringConstraints(min_length=1)]
    description: _Description
    lat: Annotated[float | None, Field(ge=-90, le=90), _Degrees] = None
    long: Annotated[float | None, Field(ge=-180, le=180), _Degrees] = None
    address_string: _Line = ""
    address_id: _Line = ""
    first_name: _Line = ""
    last_name: _Line = ""
    email: _Line = ""
    phone: _Line = ""
    media_url: _Url = ""

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if (self.lat is None) is not (self.long is None):
            raise ValueError("lat and long are given together")
        if self.lat is None and not (self.address_string or self.address_id):
            raise ValueError("a place is required: lat and long, or address_string")
        return self

    @property
    def location(self) -> Location | None:
        """The point on the map, if it has one."""
        if self.lat is None or self.long is None:
            return None
        address = line(self.address_string)
        return Location(latitude=self.lat, longitude=self.long, address=address)


def fields_of(body: bytes) -> dict[str, str]:
    """Return the fields of a posted form, those left empty left out.

    Raises:
        Refused: it is no form in UTF-8.

    """
    try:
        pairs = parse_qsl(
            body.decode(), errors="strict", max_num_fields=_MOST_FIELDS, separator="&"
        )
    except ValueError:
        text = f"the body must be a form in UTF-8 of at most {_MOST_FIELDS} fields"
        raise Refused(HTTPStatus.BAD_REQUEST, text) from None
    return dict(pairs)


def body_of(fields: Mapping[str, str]) -> bytes:
    """Return what is kept of a form: all but the key."""
    kept = {name: value for name, value in fields.items() if name != KEY}
    return urlencode(kept).encode()


def check(fields: Mapping[str, str]) -> None:
    """Let pass what can be read later on.

    Raises:
        Refused: with what is wrong, field by field, and nothing of what they hold.

    """
    try:
        Report.model_validate(fields)
    except ValidationError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, _complaints(error)) from None


def read(body: bytes) -> Report:
    """Read a report that is kept.

    Raises:
        PayloadError: it is none.

    """
    try:
        return Report.model_validate(fields_of(body))
    except ValidationError as error:
        raise PayloadError("", _complaints(error)) from None
    except Refused as error:
        raise PayloadError("", str(error)) from None


def text_of(body: bytes, report: Report, name: str, words: Texts) -> str:
    """Return what the office reads: the kind, the words, and who says so.

    The kind comes first, so that no report is taken for an order to the gateway.
    """
    facts = "\n".join(_facts(body, report, words))
    parts = (line(name), visible(report.description), facts)
    return "\n\n".join(filter(None, parts))


def _facts(body: bytes, report: Report, words: Texts) -> Iterator[str]:
    say = words.say
    if report.location is None:
        place = ", ".join(filter(None, [report.address_string, report.address_id]))
        yield say(texts.PLACE, place=line(place))
    named = f"{report.first_name} {report.last_name}".strip()
    who = [line(each) for each in (named, report.email, report.phone) if each]
    if who:
        yield say(texts.REPORTED_BY, who=", ".join(who))
    if report.media_url:
        yield say(texts.LINKED, url=line(report.media_url))
    for key, value in fields_of(body).items():
        if key.startswith(_ATTRIBUTE):
            code = key.removeprefix(_ATTRIBUTE).rstrip("[]")
            yield f"{line(code)}: {line(value)}"


def _complaints(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"]]))
        for each in found
    )
