"""What the target of a delivery is called: ``channel:urp``, ``service:strade``.

The further connectors of a service, which get what those before could not deliver, are
``service:strade/1``, ``service:strade/2``: targets of their own, one office.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, or_

from gateway.model import ServiceId

SERVICE: Final = "service"
CHANNEL: Final = "channel"


def queue_of(target: str) -> str:
    """Name the queue of a target: each has its own, so none waits for another."""
    return f"deliver:{target}"


def of_service(service: str, number: int = 0) -> str:
    """Name the target of a service's connector, the main one by default."""
    return f"{SERVICE}:{service}/{number}" if number else f"{SERVICE}:{service}"


def main_of(target: str) -> str:
    """Return the target of the main connector of the same office."""
    return target.partition("/")[0]


def service_of(target: str) -> ServiceId:
    """Return the service that a target belongs to."""
    return ServiceId(main_of(target).removeprefix(f"{SERVICE}:"))


def is_for(column: ColumnElement[Any], service: str) -> ColumnElement[bool]:
    """Return the condition that a target is one of a service's."""
    main = of_service(service)
    return or_(column == main, column.startswith(f"{main}/", autoescape=True))
