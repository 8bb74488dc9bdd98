"""Which requests are asked for; pure.

Source: GeoReport v2, *GET Service Requests*.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from gateway_delivery.open311_server.refused import Refused

MOST: Final = 1000
SPAN: Final = timedelta(days=90)
_OPEN: Final = "open"
_CLOSED: Final = "closed"
_LONGEST_ID: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was opened in a time, by code, and whether it is ``closed`` (or both)."""

    since: datetime
    until: datetime
    codes: tuple[str, ...] = ()
    closed: bool | None = None


def ids_of(query: Mapping[str, str]) -> list[str]:
    """Return the ids that are asked for; they go before all else."""
    return [each for each in _listed(query, "service_request_id") if is_id(each)]


def is_id(text: str) -> bool:
    """Tell whether a text could be an id of ours, and can be looked up."""
    return 0 < len(text) <= _LONGEST_ID and text.isprintable()


def read(query: Mapping[str, str], now: datetime, codes: Collection[str]) -> Search:
    """Read the filters; what is not given is the last 90 days.

    Raises:
        Refused: a filter says nothing that could be found.

    """
    start, end = _time(query, "start_date"), _time(query, "end_date")
    try:
        until = end or (now if start is None else start + SPAN)
        since = start or until - SPAN
        too_long = until - since > SPAN
    except OverflowError:
        raise _wrong("the dates are out of all time") from None
    if too_long or since > until:
        days = f"{SPAN.days} days at most"
        raise _wrong(f"start_date must be before end_date, by {days}")
    return Search(
        since=since,
        until=until,
        codes=_codes(query, codes),
        closed=_status(query),
    )


def _codes(query: Mapping[str, str], known: Collection[str]) -> tuple[str, ...]:
    asked = _listed(query, "service_code")
    if any(code not in known for code in asked):
        raise Refused(HTTPStatus.NOT_FOUND, "service_code was not found")
    return tuple(asked)


def _status(query: Mapping[str, str]) -> bool | None:
    asked = set(_listed(query, "status"))
    if asked - {_OPEN, _CLOSED}:
        raise _wrong(f"status must be {_OPEN} or {_CLOSED}")
    return asked == {_CLOSED} if len(asked) == 1 else None


def _listed(query: Mapping[str, str], name: str) -> list[str]:
    parts = (part.strip() for part in query.get(name, "").split(","))
    return list(dict.fromkeys(filter(None, parts)))


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    # A plus that was not escaped has become a space.
    text = query.get(name, "").strip().replace(" ", "+")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.utcoffset() is None:
        raise _wrong(f"{name} must be a time like 2026-03-29T20:04:05Z")
    return at


def _wrong(text: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, text)
