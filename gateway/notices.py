"""How often the gateway speaks by itself to the same citizen.

Automatic is what no person at the city set off: the notice that a message came in, is
held or refused. What an office answers or staff decide is never counted, nor withheld.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from gateway import rates
from gateway.model import MessageId
from gateway.rates import Limit

NOTICE: Final = "notice"
"""Purpose of a delivery that is such a notice."""

_PAUSE = timedelta(days=1)


def withheld(connection: Connection, told: Mapping[MessageId, str]) -> set[MessageId]:
    """Return the messages without a notice: messages → conversations, in order.

    The first of a conversation has one, the next after a day at the earliest.
    """
    limits = [Limit(name=f"notice:{each}", interval=_PAUSE) for each in told.values()]
    had = rates.try_now(connection, limits) if limits else []
    return {each for each, is_told in zip(told, had, strict=True) if not is_told}
