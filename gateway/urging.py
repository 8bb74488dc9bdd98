"""What a service reads above a message that is handed over because of its deadline."""

from __future__ import annotations

from gateway import texts
from gateway.city import City
from gateway.deadlines import urged_by
from gateway.model import Urgency
from gateway.outbox import Parcel

_SAID = {Urgency.REMINDER: texts.REMINDER, Urgency.ESCALATION: texts.OVERDUE}


def notice(city: City, parcel: Parcel) -> str:
    """Return what is to be said of the case's deadline; "" if that is no matter."""
    urged, case = urged_by(parcel.purpose), parcel.case
    if urged is None or case is None:
        return ""
    urgency, deadline = urged
    local = deadline.astimezone(city.numbering.timezone)
    return city.texts.say(
        _SAID[urgency],
        number=case.number,
        service=city.services.get(case.service, case.service),
        day=city.texts.day(local),
        time=city.texts.time(local),
    )
