"""Services and requests as GeoReport shows them; pure.

Source: GeoReport v2, *GET Service List*, *GET Service Definition*, *GET Service
Requests*, *Service Discovery*.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import PayloadError
from gateway.model import CaseStatus, CaseView, ServiceId
from gateway_delivery.letter import visible
from gateway_delivery.open311_server import report as reports
from gateway_delivery.open311_server.config import Open311ServerConfig, ReportedService
from gateway_delivery.open311_server.report import Report
from gateway_delivery.open311_server.words import Words

_SPECIFICATION: Final = "http://wiki.open311.org/GeoReport_v2"
_FORMATS: Final = ("text/xml", "application/json")


def service(each: ReportedService) -> dict[str, Any]:
    """Return a service as it is listed.

    ``batch``: whoever reports gets a token first, and the id once there is a case.
    """
    return {
        "service_code": each.code,
        "service_name": each.name,
        "description": each.description or None,
        "metadata": False,
        "type": "batch",
        "keywords": ",".join(each.keywords) or None,
        "group": each.group or None,
    }


def definition(each: ReportedService) -> dict[str, Any]:
    """Return the definition of a service: it wants no attributes."""
    return {"service_code": each.code, "attributes": []}


def discovery(config: Open311ServerConfig, since: datetime) -> dict[str, Any]:
    """Return where this is, and what it speaks."""
    return {
        "changeset": time(since),
        "contact": config.contact or None,
        "key_service": config.contact or None,
        "endpoints": [
            {
                "specification": _SPECIFICATION,
                "url": config.base_url,
                "changeset": time(since),
                "type": "production",
                "formats": list(_FORMATS),
            }
        ],
    }


def request(
    view: CaseView,
    words: Words,
    names: Mapping[str, str],
    offices: Mapping[ServiceId, str],
    *,
    private: bool,
) -> dict[str, Any]:
    """Return how a request stands; who reported it is never in it.

    What the citizen wrote, and what they were answered, only if ``private``. It is
    open, and says nothing, until the words that closed it are there: a program stops
    asking at closed, and would pass on words twice that came before it.
    """
    said, code = _report(view), code_of(view.item.external_id)
    notes = words.notes if _readable(view, words) else None
    return {
        "service_request_id": view.number,
        "status": "closed" if view.ended else "open",
        "status_notes": _shown(notes.text if notes else "", private),
        "service_name": names.get(code),
        "service_code": code,
        "description": _shown(said.description if said else "", private),
        "agency_responsible": offices.get(view.service),
        "service_notice": _shown(words.notice.text if words.notice else "", private),
        "requested_datetime": time(view.opened_at),
        "updated_datetime": time(_updated(view, words)),
        "expected_datetime": time(view.deadline_at) if view.deadline_at else None,
        "address": (said.address_string if said else "") or None,
        "address_id": (said.address_id if said else "") or None,
        "zipcode": None,
        "lat": said.lat if said else None,
        "long": said.long if said else None,
        "media_url": _shown(said.media_url if said else "", private),
    }


def code_of(external_id: str) -> str:
    """Return the service code with which a report's token begins."""
    return external_id.rpartition(".")[0]


def time(at: datetime) -> str:
    """Return a time as ISO 8601, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _readable(view: CaseView, words: Words) -> bool:
    """Tell whether an office's words belong to how the case stands in ``view``."""
    if view.ended or words.notes is None:
        return True
    return view.status is not CaseStatus.CLOSED and words.notes.at <= words.asked_at


def _report(view: CaseView) -> Report | None:
    try:
        return reports.read(view.item.original.body)
    except PayloadError:
        return None


def _shown(text: str, private: bool) -> str | None:  # noqa: FBT001 (of this file)
    return (visible(text).strip() or None) if private else None


def _updated(view: CaseView, words: Words) -> datetime:
    """Return when it was closed, or else when something was last said."""
    if view.closed_at is not None and view.ended:
        return view.closed_at
    said = words.notes.at if words.notes else view.opened_at
    return max(view.opened_at, view.last_message_at, said)
