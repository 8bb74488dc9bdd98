"""Cases of which people have shown whose they are: what there is to learn from."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from sqlalchemy import Connection, or_, select

from gateway.commands import Decided
from gateway.model import (
    Amendment,
    Author,
    CaseId,
    CaseStatus,
    MessageState,
    ServiceId,
)
from gateway.store import schema

_BY_PEOPLE = ("case.reassigned", "case.settled", "case.answered")
_BY_WORK = (
    CaseStatus.ANSWERED.value,
    CaseStatus.CLOSED.value,
    CaseStatus.REOPENED.value,
)


def decided(connection: Connection) -> list[Decided]:
    """Return the decided cases, oldest first, with what their citizens wrote.

    Reactions and what was tapped in a menu are no words about the matter.
    """
    case, message, event = schema.cases, schema.message, schema.event
    corrected = select(event.c.subject).where(event.c.action.in_(_BY_PEOPLE))
    found = connection.execute(
        select(case.c.id, case.c.service, message.c.body)
        .join(message, message.c.case_id == case.c.id)
        .where(
            or_(case.c.status.in_(_BY_WORK), case.c.id.in_(corrected)),
            case.c.status != CaseStatus.WAITING.value,
            message.c.author == Author.CITIZEN.value,
            message.c.state == MessageState.PROCESSED.value,
        )
        .order_by(case.c.id, message.c.id)
    )
    texts: dict[tuple[str, str], list[str]] = {}
    for case_id, service, body in found:
        texts.setdefault((case_id, service), []).extend(_said(body))
    return [
        Decided(case_id=CaseId(key), service=ServiceId(service), text="\n".join(said))
        for (key, service), said in texts.items()
        if said
    ]


def _said(body: str) -> Iterable[str]:
    message = orjson.loads(body)
    chosen, reaction = message.get("choice"), Amendment.REACTION.value
    if message["text"].strip() and not chosen and message.get("amendment") != reaction:
        yield message["text"]
