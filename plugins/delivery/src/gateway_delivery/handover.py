"""A hand-over as programs read it: one JSON object for every connector; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import Enclosure, Handover, Location, Message
from gateway_delivery.letter import map_url


def as_data(
    handover: Handover, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return a hand-over as JSON values.

    ``names`` gives the files that lie beside it, by their SHA-256; ids are texts, times
    RFC 3339 in UTC, sizes bytes. The same at every attempt but for ``maybe_repeated``.
    """
    case = handover.case
    return {
        "delivery": handover.delivery_id,
        "kind": kind_of(handover),
        "urgency": handover.urgency.value if handover.urgency else None,
        "created_at": handover.created_at.isoformat(),
        "case": {"number": case.number, "opened_at": case.opened_at.isoformat()},
        "service": {"id": handover.service, "name": handover.service_name},
        "message": _message(handover.message),
        "files": [_file(each, names or {}) for each in handover.enclosures],
        "missing": list(handover.missing),
        "maybe_repeated": handover.maybe_sent,
    }


def kind_of(handover: Handover) -> str:
    """Return ``report``, ``addition`` (to a report) or ``files`` (that came later)."""
    if handover.follow_up:
        return "files"
    return "addition" if handover.addition else "report"


def _message(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "channel": message.channel,
        "sender": {
            "address": str(message.sender),
            "name": message.sender_name,
            "others": [str(each) for each in message.aliases],
            "proven": message.authentic,
        },
        "sent_at": message.sent_at.isoformat(),
        "received_at": message.received_at.isoformat(),
        "subject": message.subject,
        "text": message.text,
        "amendment": message.amendment.value if message.amendment else None,
        "location": _location(message.location),
        "flags": list(message.flags),
    }


def _location(location: Location | None) -> dict[str, Any] | None:
    if location is None:
        return None
    return {
        "latitude": location.latitude,
        "longitude": location.longitude,
        "name": location.name,
        "address": location.address,
        "district": location.district,
        "source": location.source,
        "map": map_url(location),
    }


def _file(enclosure: Enclosure, names: Mapping[str, str]) -> dict[str, Any]:
    day = enclosure.last_day
    return {
        "name": enclosure.name,
        "media_type": enclosure.media_type,
        "size": enclosure.size,
        "sha256": enclosure.sha256,
        "file": names.get(enclosure.sha256),
        "url": enclosure.url or None,
        "last_day": day.isoformat() if day else None,
    }
