"""How content citizens are: asked once, when their case is closed; no reminder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, select, update

from gateway import texts
from gateway.city import City
from gateway.model import Author, Menu, Message, Option
from gateway.store import schema
from gateway.store.units import now
from gateway.telling import Word

PURPOSE: Final = "rating"
"""Purpose of a delivery that asks for it."""

PATIENCE: Final = timedelta(days=14)
"""For how long a bare number is taken as the answer."""

_BEST: Final = 5
_LONGEST: Final = 80
_CHOICE = re.compile(rf"rating:(?P<number>.{{1,80}}):(?P<value>[1-{_BEST}])")
_TEXT = re.compile(
    rf"(?:voto|rating)?(?:\s*:)?\s*(?P<value>[1-{_BEST}])"
    rf"(?:\s*(?:/|su|of|out\s+of)\s*{_BEST})?(?:\s*(?:stell[ae]|stars?))?\s*[.!]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A value from 1 to 5; of the case ``number``, if the choice names it.

    ``remark``: more was said than the number.
    """

    value: int
    number: str = ""
    remark: bool = False


def read(message: Message) -> Rating | None:
    """Return the rating that a message is, if it can be one."""
    chosen = _CHOICE.fullmatch(message.choice) if message.choice else None
    if chosen is not None:
        return Rating(value=int(chosen["value"]), number=chosen["number"])
    if message.attachments or message.location:
        return None
    first, _, rest = message.text.strip().partition("\n")
    said = _TEXT.fullmatch(first.strip()) if len(first) <= _LONGEST else None
    if said is None:
        return None
    return Rating(value=int(said["value"]), remark=bool(rest.strip()))


def ask(connection: Connection, rows: Sequence[Any], city: City) -> list[Word]:
    """Return the question for those closed cases whose citizens had none yet.

    Where a channel takes nothing but templates by now, nobody is asked.
    """
    if not city.ask_satisfaction:
        return []
    threads = _threads(connection, rows)
    asked = [
        r for r in rows if r.asked_at is None and _listens(connection, r, threads, city)
    ]
    if asked:
        table = schema.cases
        connection.execute(
            update(table)
            .where(table.c.id.in_([row.id for row in asked]))
            .values(asked_at=now(connection))
        )
    return [_question(row, threads[row.conversation_id].channel, city) for row in asked]


def _threads(connection: Connection, rows: Sequence[Any]) -> dict[str, Any]:
    table = schema.conversation
    found = connection.execute(
        select(table).where(table.c.id.in_({row.conversation_id for row in rows}))
    )
    return {row.id: row for row in found}


def _listens(
    connection: Connection, row: Any, threads: Mapping[str, Any], city: City
) -> bool:
    thread = threads[row.conversation_id]
    window = city.manners_of(thread.channel).window
    return window is None or now(connection) - thread.last_inbound_at < window


def _question(row: Any, channel: str, city: City) -> Word:
    say, menus = city.texts.say, city.manners_of(channel).menus
    titles = {1: texts.RATING_WORST, _BEST: texts.RATING_BEST}
    options = tuple(
        Option(
            id=f"rating:{row.number}:{value}",
            title=say(titles[value]) if value in titles else str(value),
        )
        for value in range(_BEST, 0, -1)
    )
    return Word(
        conversation_id=row.conversation_id,
        case_id=row.id,
        text=say(texts.RATE if menus else texts.RATE_BY_NUMBER, number=row.number),
        purpose=PURPOSE,
        menu=Menu(options=options, label=say(texts.RATING_LABEL)) if menus else None,
    )


def find(
    connection: Connection, rating: Rating, message: Message, conversation_id: str
) -> Any:
    """Return the case that a message rates, which was closed in this conversation.

    A bare number may mean something else: it counts only for a while, and unless an
    office has said something in this conversation since.
    """
    table = schema.cases
    statement = select(table).where(
        table.c.conversation_id == conversation_id,
        table.c.asked_at.is_not(None),
    )
    if rating.number:
        named = statement.where(table.c.number == rating.number)
        return connection.execute(named).one_or_none()
    since = message.received_at - PATIENCE
    row = connection.execute(
        statement.where(table.c.asked_at >= since)
        .order_by(table.c.asked_at.desc())
        .limit(1)
    ).one_or_none()
    if row is None or _spoken_since(connection, row):
        return None
    return row


def _spoken_since(connection: Connection, row: Any) -> bool:
    """Tell whether an office has said something since, which a number may answer."""
    case, message = schema.cases, schema.message
    said = (
        select(message.c.id)
        .join(case, case.c.id == message.c.case_id)
        .where(
            case.c.conversation_id == row.conversation_id,
            message.c.author == Author.SERVICE.value,
            message.c.created_at > row.asked_at,
        )
        .limit(1)
    )
    return connection.execute(said).first() is not None


def keep(connection: Connection, case_id: str, rating: Rating) -> None:
    """Store what the citizen said; the last word counts."""
    table = schema.cases
    connection.execute(
        update(table).where(table.c.id == case_id).values(rating=rating.value)
    )
