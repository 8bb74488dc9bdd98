"""A hand-over as a GeoReport request, and the server's answers read; pure.

Source: GeoReport v2, *POST Service Request*, *GET service_request_id from a token*,
*GET Service Requests*. Roots are lists, also of one; ids come as numbers or as texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import DeliveryError, PayloadError
from gateway.model import Handover, Location
from gateway.payload import Payload
from gateway_delivery import texts
from gateway_delivery.config import Open311Config
from gateway_delivery.letter import body, line, notes, visible
from gateway_delivery.texts import Texts

LONGEST_DESCRIPTION: Final = 4000
_LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What the server gave a report: an id, or a token that will have one, or none."""

    request: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How a request stands: ``closed`` or not, and what was said about it."""

    request: str
    closed: bool
    notes: str
    description: str
    raw: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The request by which the server has had the case before, and its place."""

    request: str = ""
    place: Mapping[str, str] | None = None


def form(
    handover: Handover, config: Open311Config, words: Texts, earlier: Earlier
) -> dict[str, str]:
    """Return the fields of the report.

    Raises:
        DeliveryError: GeoReport can't take it: no place, files without a link, or what
            an office wrote for another, since requests may be published.

    """
    if handover.internal:
        text = "it may be published, and is for an office only"
        raise DeliveryError("open311_internal", text, retryable=False)
    links = [each.url for each in handover.enclosures if each.url]
    if handover.follow_up and not links:
        text = "files can only be linked to, and there are no links"
        raise DeliveryError("open311_no_links", text, retryable=False)
    key = config.api_key
    fields = {
        "api_key": key.get_secret_value() if key else "",
        "jurisdiction_id": config.jurisdiction_id,
        "service_code": config.service_code,
        **place_of(handover, config, earlier),
        "description": description(handover, words, earlier, links),
        "media_url": links[0] if links else "",
        **{f"attribute[{code}]": value for code, value in config.attributes.items()},
    }
    return {name: value for name, value in fields.items() if value}


def place_of(
    handover: Handover, config: Open311Config, earlier: Earlier
) -> Mapping[str, str]:
    """Return where it is: the message's place, or its case's, or the configured one.

    Raises:
        DeliveryError: none of them.

    """
    if (location := handover.message.location) is not None:
        return _place(location)
    if earlier.place:
        return earlier.place
    if config.address_string:
        return {"address_string": config.address_string}
    text = "GeoReport wants a place, and the message has none"
    raise DeliveryError("open311_no_place", text, retryable=False)


def mark(handover: Handover, words: Texts) -> str:
    """Return the line by which our request is found again, and no other is."""
    return words.say(
        texts.REFERENCE, number=handover.case.number, delivery=handover.delivery_id
    )


def description(
    handover: Handover, words: Texts, earlier: Earlier, links: list[str]
) -> str:
    """Return the text of the report, no longer than is allowed; it may be published.

    Who sent it is not in it.
    """
    head = [*_refers(handover, words, earlier), *notes(handover, words)]
    tail = [*links[1:5], mark(handover, words)]
    said = body(handover.message, words)
    room = LONGEST_DESCRIPTION - sum(len(each) + 2 for each in (*head, *tail))
    if len(said) > room:
        said = said[: max(room - 1, 0)] + "…"
    return "\n\n".join([*head, said, *tail])


def _refers(handover: Handover, words: Texts, earlier: Earlier) -> Iterator[str]:
    """Yield to what a report adds: GeoReport can't say so but in the text.

    By the server's own id if we have it; else by the number, with which the text of the
    first report ends.
    """
    if earlier.request:
        yield words.say(texts.REFERS_TO, request=earlier.request)
    elif handover.addition or handover.follow_up:
        yield words.say(texts.ADDS_TO, number=handover.case.number)


def read_accepted(answer: bytes) -> Accepted:
    """Read what the server says to a report.

    Raises:
        PayloadError: it says something else.

    """
    first = next(iter(_items(answer, "service_requests")), None)
    if first is None:
        raise PayloadError("", "expected a list of one, found none")
    return Accepted(request=_id(first, "service_request_id"), token=_id(first, "token"))


def read_updates(answer: bytes) -> list[Update]:
    """Read a list of requests; what has no id or status is left out.

    Raises:
        PayloadError: it is no list.

    """
    return [each for item in _items(answer, "requests") for each in _update(item)]


def read_reason(answer: bytes) -> str:
    """Return why the server refuses, in its own words; "" if it has none."""
    try:
        items = _items(answer, "errors")
        said = [item.text_or("description") for item in items]
    except PayloadError:
        return ""
    return line("; ".join(filter(None, said)))[:_LONGEST_REASON]


def _update(item: Payload) -> Iterator[Update]:
    request = _id(item, "service_request_id")
    status = _text(item, "status").strip().lower()
    if request and status in {"open", "closed"}:
        yield Update(
            request=request,
            closed=status == "closed",
            notes=visible(_text(item, "status_notes")).strip(),
            description=_text(item, "description"),
            raw=item.value,
        )


def _items(answer: bytes, name: str) -> list[Payload]:
    """Return the elements of a list; some servers wrap it in an object."""
    payload = Payload.from_json(answer)
    if payload.has(name):
        payload = payload.get(name)
    return list(payload)


def _text(item: Payload, key: str) -> str:
    value: Any = item.get(key).value if item.has(key) else ""
    return value if isinstance(value, str) else ""


def _id(item: Payload, key: str) -> str:
    """Return an id as a text, whatever the server makes of it."""
    value: Any = item.get(key).value if item.has(key) else ""
    known = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip() if known else ""


def _place(location: Location) -> dict[str, str]:
    address = line(", ".join(filter(None, [location.name, location.address])))
    return {
        "lat": f"{location.latitude:.6f}",
        "long": f"{location.longitude:.6f}",
        **({"address_string": address} if address else {}),
    }
