"""What citizens are told about their own cases, each where they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from gateway import messages, outbox
from gateway.messages import Said
from gateway.model import Menu
from gateway.outbox import NewDelivery
from gateway.store import schema
from gateway.store.units import now
from gateway.targets import CHANNEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What the citizen of a conversation is told, on behalf of which case of theirs."""

    conversation_id: str
    case_id: str
    text: str
    purpose: str = "answer"
    menu: Menu | None = None


def tell(connection: Connection, words: Sequence[Word]) -> set[str]:
    """Send each word to whoever its conversation is with; return queues with work."""
    if not words:
        return set()
    table = schema.conversation
    found = connection.execute(
        select(table).where(table.c.id.in_({word.conversation_id for word in words}))
    )
    threads = {row.id: row for row in found}
    rows = [
        messages.outbound_row(
            Said(
                channel=threads[word.conversation_id].channel,
                text=word.text,
                menu=word.menu,
                conversation_id=word.conversation_id,
                case_id=word.case_id,
            ),
            now(connection),
        )
        for word in words
    ]
    messages.store(connection, rows)
    deliveries = [
        NewDelivery(
            message_id=row["id"],
            target=f"{CHANNEL}:{row['channel']}",
            purpose=word.purpose,
            recipient=threads[word.conversation_id].reply_to,
            lane=word.conversation_id,
            case_id=word.case_id,
        )
        for row, word in zip(rows, words, strict=True)
    ]
    return outbox.enqueue(connection, deliveries)
