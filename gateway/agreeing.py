"""What citizens say of where else they may be answered.

Their words only ever name a way on which something has come from them: where it came
from is theirs, and no third party can be written to by asking for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, and_, select

from gateway import consents, texts
from gateway.city import City
from gateway.consents import NEVER, Agreement
from gateway.model import Message
from gateway.store import schema

_SCHEMES: Final[Mapping[str, str]] = {
    "e-mail": "mailto",
    "email": "mailto",
    "mail": "mailto",
    "posta elettronica": "mailto",
    "pec": "pec",
    "posta certificata": "pec",
    "registered mail": "pec",
    "whatsapp": "whatsapp",
}


def agree(
    connection: Connection, contact_id: str, message: Message, name: str, city: City
) -> str | None:
    """Note that answers may go by the way ``name``; return what to say.

    None if there is no such way. The address is that from which the contact wrote last.
    """
    if not _is_way(name, city):
        return None
    found = [row for row in _threads(connection, contact_id, city) if _is(row, name)]
    if not found:
        return city.texts.say(texts.NO_ADDRESS, way=name)
    agreement = Agreement(
        contact_id=contact_id,
        uri=found[0].reply_to,
        channel=found[0].channel,
        by="citizen",
        message_id=message.id,
    )
    consents.give(connection, agreement)
    way = consents.way_of(agreement.uri, agreement.channel)
    return city.texts.say(texts.AGREED, way=way)


def withdraw(
    connection: Connection, contact_id: str, message: Message, name: str, city: City
) -> str | None:
    """End what a contact agreed to of the way ``name``; return what to say.

    None if there is no such way.
    """
    rows = [
        row
        for row in consents.of_contact(connection, contact_id)
        if _is(row, name, row.uri)
    ]
    if not rows and not _is_way(name, city):
        return None
    consents.end(connection, rows, "citizen", message.id)
    way = consents.way_of(rows[0].uri, rows[0].channel) if rows else name
    return city.texts.say(texts.WITHDRAWN, way=way)


def _is_way(name: str, city: City) -> bool:
    return name.casefold() in _SCHEMES or name in city.manners


def _is(row: Any, name: str, uri: str = "") -> bool:
    """Tell whether a channel's address is meant by a name: its kind, or the channel."""
    scheme = (uri or row.reply_to).partition(":")[0]
    return row.channel == name or scheme == _SCHEMES.get(name.casefold())


def _threads(connection: Connection, contact_id: str, city: City) -> list[Any]:
    """Return where a contact has written from an address of theirs, latest first."""
    table, address = schema.conversation, schema.address
    theirs = and_(
        address.c.uri == table.c.reply_to, address.c.contact_id == table.c.contact_id
    )
    return list(
        connection.execute(
            select(table)
            .join(address, theirs)
            .where(
                table.c.contact_id == contact_id,
                # The index on conversations begins with their channel.
                table.c.channel.in_(sorted(city.manners)),
                table.c.last_inbound_at > NEVER,
            )
            .order_by(table.c.last_inbound_at.desc())
        )
    )
