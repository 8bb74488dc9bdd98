"""Cases of which people have shown whose they are: what there is to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row, or_, select

from gateway import messages
from gateway.commands import Decided
from gateway.model import (
    Amendment,
    Attachment,
    Author,
    CaseId,
    CaseStatus,
    MessageState,
    ServiceId,
)
from gateway.store import schema

_BATCH = 500
"""Ids in one statement: databases take only so many."""

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
        select(case.c.id.label("case"), case.c.service, message)
        .join(message, message.c.case_id == case.c.id)
        .where(
            or_(case.c.status.in_(_BY_WORK), case.c.id.in_(corrected)),
            case.c.status != CaseStatus.WAITING.value,
            message.c.author == Author.CITIZEN.value,
            message.c.state == MessageState.PROCESSED.value,
        )
        .order_by(case.c.id, message.c.id)
    )
    began: dict[str, Row[Any]] = {}
    texts: dict[str, list[str]] = {}
    for row in found:
        began.setdefault(row.case, row)
        texts.setdefault(row.case, []).extend(_said(row.body))
    told = [row for row in began.values() if texts[row.case]]
    files = _files(connection, [row.id for row in told])
    return [
        Decided(
            case_id=CaseId(row.case),
            service=ServiceId(row.service),
            text="\n".join(texts[row.case]),
            message=messages.from_row(row, files.get(row.id, ())),
        )
        for row in told
    ]


def _files(
    connection: Connection, ids: Sequence[str]
) -> Mapping[str, Sequence[Attachment]]:
    files: dict[str, list[Attachment]] = {}
    for start in range(0, len(ids), _BATCH):
        part = ids[start : start + _BATCH]
        files |= messages.load_attachments(connection, part)
    return files


def _said(body: str) -> Iterable[str]:
    message = orjson.loads(body)
    chosen, reaction = message.get("choice"), Amendment.REACTION.value
    if message["text"].strip() and not chosen and message.get("amendment") != reaction:
        yield message["text"]
