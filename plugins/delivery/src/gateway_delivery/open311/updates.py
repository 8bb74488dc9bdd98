"""What a GeoReport server says of our requests, stored and read like any answer."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.errors import PayloadError
from gateway_delivery import answers
from gateway_delivery.answers import Said
from gateway_delivery.open311 import report
from gateway_delivery.open311.report import Update
from gateway_delivery.open311.tracking import Tracked

KIND = "open311"


def body_of(update: Update) -> bytes:
    """Return a request as the server listed it."""
    return orjson.dumps([update.raw])


def headers_of(tracked: Tracked, update: Update) -> dict[str, str]:
    """Return what must be known to read it: the case, and what is new."""
    closes = update.closed and not tracked.addition
    return {
        "kind": KIND,
        "case": tracked.case,
        "status": answers.CLOSED if closes else answers.OPEN,
        "notes": "new" if update.notes != tracked.notes else "known",
    }


def says(headers: Mapping[str, str], update: Update) -> bool:
    """Tell whether anything is said: the end of an addition alone is nothing."""
    closes = headers["status"] == answers.CLOSED
    return closes or bool(headers["notes"] == "new" and update.notes)


def read(body: bytes, headers: Mapping[str, str]) -> Said:
    """Read a stored update.

    Raises:
        PayloadError: it is none.

    """
    found = report.read_updates(body)
    if len(found) != 1 or not headers.get("case"):
        raise PayloadError("", "expected one request of ours")
    return Said(
        case=headers["case"],
        text=found[0].notes if headers.get("notes") == "new" else "",
        status=headers.get("status", answers.OPEN),
    )
