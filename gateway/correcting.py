"""A case that staff give to another service: the router learns from it."""

from __future__ import annotations

from sqlalchemy import Connection

from gateway import deadlines, handing, identity, named, states, telling, texts
from gateway.city import City
from gateway.errors import CaseError
from gateway.handing import Turn
from gateway.model import ServiceId
from gateway.telling import Word


def move(  # noqa: PLR0913 (which, to whom, by whom and why)
    connection: Connection,
    number: str,
    service: ServiceId,
    city: City,
    *,
    by: str,
    reason: str = "",
) -> set[str]:
    """Give a case to ``service`` with all that its citizen said, and tell them.

    On the record as ``case.reassigned``, by ``by``. Returns queues with new work.

    Raises:
        NotFound: there is no such case.
        CaseError: no such service, it has the case already, or the case is closed.

    """
    (row,) = named.find(connection, number)
    if service not in city.services:
        known = ", ".join(sorted(city.services))
        text = f"no service {service}; there are: {known}"
        raise CaseError(text)
    if service == row.service:
        text = f"{number} is with {service} already"
        raise CaseError(text)
    step = states.Move(
        case_id=row.id,
        by=by,
        service=service,
        data={"reason": reason} if reason else {},
    )
    states.require(connection, states.REASSIGNED, step)
    turned = Turn(
        case_id=row.id,
        before=ServiceId(row.service),
        after=service,
        mark=identity.new_id(),
        patience=city.wait_for_attachments,
    )
    deadlines.move(connection, row.id, service, city.deadlines)
    queues = handing.turn(connection, turned)
    word = Word(
        conversation_id=row.conversation_id,
        case_id=row.id,
        text=city.texts.say(
            texts.HANDED_ON, number=number, service=city.services[service]
        ),
    )
    return queues | telling.tell(connection, [word])
