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
from gateway.city import City
from gateway.model import Message, MessageId
from gateway.rates import Limit

NOTICE: Final = "notice"
"""Purpose of a delivery that is such a notice."""

_PAUSE = timedelta(days=1)
_ASKED_PAUSE, _ASKED_AT_ONCE = timedelta(hours=2), 6


def withheld(connection: Connection, told: Mapping[MessageId, str]) -> set[MessageId]:
    """Return the messages without a notice: messages → conversations, in order.

    The first of a conversation has one, the next after a day at the earliest.
    """
    limits = [Limit(name=f"notice:{each}", interval=_PAUSE) for each in told.values()]
    had = rates.try_now(connection, limits) if limits else []
    return {each for each, is_told in zip(told, had, strict=True) if not is_told}


def may_answer(
    connection: Connection, message: Message, conversation_id: str, city: City
) -> bool:
    """Tell whether the citizen gets what they ask the gateway for.

    Where machines may answer machines that is six at once, then one every two hours: so
    two of them fall silent. A sender who may be forged counts as one who did not ask.
    """
    if not city.manners_of(message.channel).daily_notice:
        return True
    limit = Limit(
        name=f"asked:{conversation_id}", interval=_ASKED_PAUSE, burst=_ASKED_AT_ONCE
    )
    if message.authentic is False:
        limit = Limit(name=f"notice:{conversation_id}", interval=_PAUSE)
    return rates.try_now(connection, [limit])[0]
