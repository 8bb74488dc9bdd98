"""What a service's own system says of a case: read from JSON; pure."""

from __future__ import annotations

from gateway.model import Address, ServiceId

SCHEME = "service"


def said_by(service: ServiceId) -> Address:
    """Return the sender of what a service's own system says."""
    return Address(SCHEME, service)
