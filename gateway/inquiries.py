"""How the cases of a channel stand, for plugins that tell others of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, or_, select

from gateway import inbox
from gateway.model import (
    Author,
    CaseStatus,
    CaseView,
    ChannelId,
    DeliveryState,
    Inbound,
    ServiceId,
)
from gateway.store import Store, schema
from gateway.targets import CHANNEL

_ON_THE_WAY = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.UNKNOWN)


def _untold(channel: ChannelId) -> ColumnElement[bool]:
    """Tell whether a case's citizen is still to get something on the channel."""
    table = schema.delivery
    return exists().where(
        table.c.case_id == schema.cases.c.id,
        table.c.target == f"{CHANNEL}:{channel}",
        table.c.state.in_([state.value for state in _ON_THE_WAY]),
    )


_COLUMNS = (
    schema.cases.c.number,
    schema.cases.c.service,
    schema.cases.c.status,
    schema.cases.c.opened_at,
    schema.cases.c.last_message_at,
    schema.cases.c.closed_at,
    schema.cases.c.deadline_at,
)


class StoredCases:
    """The cases of one gateway (`gateway.plugin.Cases`)."""

    def __init__(self, store: Store) -> None:
        """Read them in ``store``."""
        self._store = store

    async def of_items(
        self, channel: ChannelId, external_ids: Collection[str]
    ) -> dict[str, CaseView | None]:
        """Return the case of each item; see `gateway.plugin.Cases.of_items`."""
        work = partial(of_items, channel=channel, external_ids=external_ids)
        return await self._store.read(work)

    async def numbered(
        self, channel: ChannelId, numbers: Collection[str]
    ) -> list[CaseView]:
        """Return cases by their numbers; see `gateway.plugin.Cases.numbered`."""
        work = partial(numbered, channel=channel, numbers=numbers)
        return await self._store.read(work)

    async def opened(  # noqa: PLR0913 (each narrows the search)
        self,
        channel: ChannelId,
        since: datetime,
        until: datetime,
        *,
        closed: bool | None = None,
        prefixes: Collection[str] = (),
        most: int = 1000,
    ) -> list[CaseView]:
        """Return cases of a time; see `gateway.plugin.Cases.opened`."""
        statement = _of(channel).where(schema.cases.c.opened_at.between(since, until))
        if closed is not None:
            ended = and_(
                schema.cases.c.status == CaseStatus.CLOSED.value, ~_untold(channel)
            )
            statement = statement.where(ended if closed else ~ended)
        if prefixes:
            name = schema.message.c.external_id
            begins = (name.startswith(each, autoescape=True) for each in prefixes)
            statement = statement.where(or_(*begins))
        newest = schema.cases.c.opened_at.desc(), schema.cases.c.id.desc()
        statement = statement.order_by(*newest).limit(most)
        return await self._store.read(partial(_read, statement=statement))


def of_items(
    connection: Connection, channel: ChannelId, external_ids: Collection[str]
) -> dict[str, CaseView | None]:
    """Return the case of each item that is known, None while it has none."""
    item, message, case = schema.inbox, schema.message, schema.cases
    rows = connection.execute(
        select(
            item.c.id.label("message_id"),
            item.c.external_id,
            _untold(channel).label("untold"),
            *_COLUMNS,
        )
        .outerjoin_from(item, message, message.c.id == item.c.id)
        .outerjoin(case, case.c.id == message.c.case_id)
        .where(item.c.channel == channel, item.c.external_id.in_(external_ids))
    ).all()
    views = iter(_views(connection, [row for row in rows if row.number is not None]))
    return {
        row.external_id: None if row.number is None else next(views) for row in rows
    }


def numbered(
    connection: Connection, channel: ChannelId, numbers: Collection[str]
) -> list[CaseView]:
    """Return those cases that began on the channel, newest first."""
    case = schema.cases
    statement = _of(channel).where(case.c.number.in_(numbers))
    newest = case.c.opened_at.desc(), case.c.id.desc()
    return _read(connection, statement.order_by(*newest))


def _of(channel: ChannelId) -> Select[Any]:
    """Select the cases of what citizens said on a channel."""
    message, case = schema.message, schema.cases
    return (
        select(
            message.c.id.label("message_id"),
            _untold(channel).label("untold"),
            *_COLUMNS,
        )
        .join_from(case, message, message.c.case_id == case.c.id)
        .where(message.c.channel == channel, message.c.author == Author.CITIZEN.value)
    )


def _read(connection: Connection, statement: Select[Any]) -> list[CaseView]:
    return _views(connection, connection.execute(statement).all())


def _views(connection: Connection, rows: Collection[Any]) -> list[CaseView]:
    items = inbox.load(connection, [row.message_id for row in rows])
    return [_view(row, item) for row, item in zip(rows, items, strict=True)]


def _view(row: Any, item: Inbound) -> CaseView:
    return CaseView(
        number=row.number,
        service=ServiceId(row.service),
        status=CaseStatus(row.status),
        opened_at=row.opened_at,
        last_message_at=row.last_message_at,
        closed_at=row.closed_at,
        deadline_at=row.deadline_at,
        untold=bool(row.untold),
        item=item,
    )
