"""What the gateway answers by itself: no office gets it, and it opens no case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, update

from gateway import (
    agreeing,
    cases,
    ladder,
    notices,
    ratings,
    standing,
    texts,
    wishes,
)
from gateway.city import City
from gateway.model import Event, Menu, Option
from gateway.outcome import Filed, Outcome, Reply
from gateway.store import schema
from gateway.wishes import Asked, Wish

STATUS: Final = "status"
"""Purpose of a delivery that says how cases stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An accepted message, in whose conversation, and by whom."""

    outcome: Outcome
    conversation_id: str
    contact_id: str


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where one message is answered."""

    connection: Connection
    city: City
    heard: Heard
    asked: Asked

    def say(self, msgid: str, **values: object) -> str:
        return self.city.texts.say(msgid, **values)


def serve(
    connection: Connection, heard: Sequence[Heard], city: City
) -> dict[str, Filed]:
    """Answer those of the messages that want something of the gateway itself."""
    filed: dict[str, Filed] = {}
    for each in heard:
        message = each.outcome.message
        if message.amendment is not None:
            continue
        asked = wishes.read(message)
        reply = (
            _rated(connection, each, city)
            if asked is None
            else _ANSWERS[asked.wish](_Desk(connection, city, each, asked))
        )
        if reply is not None:
            filed[message.id] = Filed(
                outcome=each.outcome,
                conversation_id=each.conversation_id,
                case=reply.case,
                new=False,
                reply=reply,
            )
    return filed


def _rated(connection: Connection, heard: Heard, city: City) -> Reply | None:
    """Keep how content a citizen is, and thank once; what more they say is kept.

    No office gets it, and the case stays closed: it was no new question.
    """
    message = heard.outcome.message
    rating = ratings.read(message) if city.ask_satisfaction else None
    if rating is None or message.authentic is False:
        return None
    row = ratings.find(connection, rating, message, heard.conversation_id)
    if row is None:
        return None
    ratings.keep(connection, row.id, rating)
    thanks = texts.RATED_REMARK if rating.remark else texts.RATED
    event = Event(
        action="case.rated",
        subject=row.id,
        actor="citizen",
        data={"message": message.id, "rating": rating.value},
    )
    return Reply(
        text=""
        if row.rating is not None
        else city.texts.say(thanks, number=row.number),
        purpose=notices.NOTICE,
        case=cases.from_row(row),
        case_id=row.id,
        events=(event,),
    )


def begins_anew(outcome: Outcome) -> bool:
    """Tell whether the citizen says that a message begins something new."""
    asked = wishes.read(outcome.message)
    return asked is not None and asked.wish is Wish.ANEW


def _begin(desk: _Desk) -> Reply | None:
    """Let what comes next be a case of its own; what follows at once is one already."""
    if not desk.asked.alone:
        return None
    table, heard = schema.conversation, desk.heard
    desk.connection.execute(
        update(table)
        .where(table.c.id == heard.conversation_id)
        .values(anew_at=heard.outcome.message.received_at)
    )
    return Reply(
        text=desk.say(texts.ANEW),
        purpose=notices.NOTICE,
        events=(_event(desk, "conversation.anew", {}),),
    )


def _status(desk: _Desk) -> Reply | None:
    """Tell how the named case stands, or the open ones."""
    name = desk.asked.name
    number = desk.city.numbering.read(name) if name else _headed(desk)
    if name and number is None:
        return None
    rows = (
        standing.find_open(desk.connection, desk.heard.contact_id, desk.city)
        if number is None
        else _theirs(desk, number)
    )
    speaks = notices.may_answer(
        desk.connection,
        desk.heard.outcome.message,
        desk.heard.conversation_id,
        desk.city,
    )
    case = rows[0] if len(rows) == 1 else None
    here = case is not None and case.conversation_id == desk.heard.conversation_id
    return Reply(
        text=_standing(desk, rows, number) if speaks else "",
        purpose=STATUS,
        menu=_menu(desk),
        case_id=case.id if case is not None and here else None,
        events=(
            _event(
                desk,
                "case.status_asked",
                {"cases": [row.id for row in rows], "answered": speaks},
            ),
        ),
    )


def _theirs(desk: _Desk, number: str) -> list[Any]:
    row = standing.find(desk.connection, desk.heard.contact_id, number, desk.city)
    return [] if row is None else [row]


def _headed(desk: _Desk) -> str | None:
    """Return the number in the subject, where the text names none."""
    subject = desk.heard.outcome.message.subject
    found = desk.city.numbering.find(subject) if subject else []
    return found[0] if found else None


def _standing(desk: _Desk, rows: Sequence[Any], number: str | None) -> str:
    if not rows:
        if number is None:
            return desk.say(texts.STATUS_NONE)
        return desk.say(texts.STATUS_UNKNOWN, number=number)
    return "\n\n".join(standing.tell(row, desk.city) for row in rows)


def _menu(desk: _Desk) -> Menu | None:
    """Offer to begin something new; the title, sent back, says just that."""
    channel = desk.heard.outcome.message.channel
    if not desk.city.manners_of(channel).menus:
        return None
    return Menu(options=(Option(id="gateway:anew", title=desk.say(texts.ANEW_TITLE)),))


def _event(desk: _Desk, action: str, data: Mapping[str, object]) -> Event:
    subject = str(desk.heard.outcome.message.id)
    return Event(action=action, subject=subject, actor="citizen", data=data)


def _other_way(desk: _Desk) -> Reply | None:
    """Note where else a citizen may be answered; of whoever may be forged, nothing."""
    message, asked = desk.heard.outcome.message, desk.asked
    if ladder.OTHER_ADDRESS not in desk.city.answer_ladder:
        return None
    if message.authentic is False or message.automatic:
        return None
    note = agreeing.agree if asked.wish is Wish.AGREE else agreeing.withdraw
    said = note(desk.connection, desk.heard.contact_id, message, asked.name, desk.city)
    if said is None:
        return None
    speaks = notices.may_answer(
        desk.connection, message, desk.heard.conversation_id, desk.city
    )
    return Reply(text=said if speaks else "", purpose=notices.NOTICE)


_ANSWERS: Final[Mapping[Wish, Callable[[_Desk], Reply | None]]] = {
    Wish.STATUS: _status,
    Wish.ANEW: _begin,
    Wish.AGREE: _other_way,
    Wish.WITHDRAW: _other_way,
}
