"""The connector ``open311``: reports to a GeoReport v2 server, and hears of them."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from gateway.connector import Connector
from gateway.errors import DeliveryError
from gateway.failpoints import hit
from gateway.model import (
    Address,
    ChannelId,
    Handover,
    Health,
    HealthStatus,
    Item,
    Receipt,
    ReceiptStatus,
    Semantics,
)
from gateway.plugin import Context
from gateway_delivery.answers import said_by
from gateway_delivery.config import Open311Config
from gateway_delivery.open311 import report, updates
from gateway_delivery.open311.client import MOST, REALTIME, Server
from gateway_delivery.open311.report import Accepted, Update
from gateway_delivery.open311.tracking import Tracked, Tracking
from gateway_delivery.systems import UNHEARD
from gateway_delivery.texts import Texts

_SKEW: Final = timedelta(hours=1)
"""How far the server's clock may be from ours, when we look for what we sent."""

_LONGEST: Final = timedelta(days=89)
"""A server need not look further back than 90 days (GeoReport v2)."""

_TOGETHER: Final = 50
"""Requests asked for at once: their ids stand in the address."""


class Open311Connector(Connector[Open311Config]):
    """Posts reports, and polls what becomes of them.

    Queryable: GeoReport has no idempotency key, but what was reported can be listed,
    and each of our reports bears its delivery's id in its text. A server that lists
    reports late (by token, in batches) can't deny having one: then it is asked until it
    is found, and not sent again.
    """

    semantics = Semantics.QUERYABLE
    heard = True
    """Whether there is a channel by which updates come in."""

    @cached_property
    def _words(self) -> Texts:
        return Texts(self.context.language)

    @cached_property
    def _server(self) -> Server:
        return Server(self.config, self.context)

    @cached_property
    def _tracking(self) -> Tracking:
        return Tracking(self.context.state, self.service, self.config.base_url)

    async def deliver(self, handover: Handover) -> Receipt:
        """Report one message.

        Raises:
            DeliveryError: not taken, or whether it was taken is unknown.

        """
        earlier = await self._tracking.earlier(handover.case)
        fields = report.form(handover, self.config, self._words, earlier)
        accepted = await self._server.post(fields)
        hit("open311.before_track")
        return await self._taken(handover, accepted)

    async def resolve(self, handover: Handover) -> Receipt | None:
        """Look for a report of ours among those of the time; None if it isn't there.

        Raises:
            DeliveryError: the server can't tell.

        """
        now = self.context.clock.now()
        since = max(handover.created_at, now - _LONGEST) - _SKEW
        found = await self._server.reported(since, now + _SKEW)
        for each in found:
            if handover.delivery_id in each.description:
                return await self._taken(handover, Accepted(request=each.request))
        told = any(each.description for each in found) or not found
        kind = await self._server.kind()
        late = kind != REALTIME or self.config.moderated
        if late or len(found) >= MOST or not told:
            text = "it may have the report and not list it, or not whole"
            raise DeliveryError("open311_cant_tell", text, retryable=True, unknown=True)
        return None

    async def _taken(self, handover: Handover, accepted: Accepted) -> Receipt:
        earlier = await self._tracking.earlier(handover.case)
        place = report.place_of(handover, self.config, earlier)
        await self._tracking.add(handover, accepted, place)
        named = accepted.request or (
            f"token {accepted.token}" if accepted.token else ""
        )
        return Receipt(
            status=ReceiptStatus.SENT,
            at=self.context.clock.now(),
            external_id=f"open311:{handover.delivery_id}",
            delivery_id=handover.delivery_id,
            text=f"request {named}" if named else "",
        )

    def may_answer(self, sender: Address) -> bool:
        """Tell whether ``sender`` is the service's own system."""
        return sender == said_by(self.service)

    async def fetch_answers(self, channel: ChannelId, context: Context[Any]) -> None:
        """Ask how our open requests stand, and pass on what is new."""
        try:
            await self._fetch(channel, context)
        except DeliveryError as error:
            context.log.warning(
                "updates_unavailable", service=self.service, code=error.code
            )

    async def _fetch(self, channel: ChannelId, context: Context[Any]) -> None:
        tracked = await self._tracking.all_open()
        for key, each in tracked.items():
            if each.token and not each.request:
                tracked[key] = await self._redeem(key, each)
        keys = {each.request: key for key, each in tracked.items() if each.request}
        requests = sorted(keys)
        for start in range(0, len(requests), _TOGETHER):
            some = requests[start : start + _TOGETHER]
            for update in await self._server.updates(some):
                # Some servers list more than they were asked for.
                if update.request in keys:
                    key = keys[update.request]
                    await self._hear(channel, context, key, tracked[key], update)

    async def _redeem(self, key: str, tracked: Tracked) -> Tracked:
        request = await self._server.request_of(tracked.token)
        if not request:
            return tracked
        known = tracked.redeemed(request)
        await self._tracking.put(key, known)
        return known

    async def _hear(
        self,
        channel: ChannelId,
        context: Context[Any],
        key: str,
        tracked: Tracked,
        update: Update,
    ) -> None:
        """Store what is new, then note that it has been heard."""
        headers = updates.headers_of(tracked, update)
        if tracked.is_news(update) and updates.says(headers, update):
            name = f"{self.service}/open311/{tracked.item_of(update)}"
            item = Item(external_id=name, sender=self.service)
            body = updates.body_of(update)
            await context.inbox.accept(channel, body, [item], headers)
            hit("open311.before_heard")
        if update.closed:
            await self._tracking.end(key)
        elif tracked.is_news(update):
            await self._tracking.put(key, tracked.after(update))

    async def check(self) -> Health:
        """Look whether the server has our service, and what it requires."""
        try:
            kind = await self._server.kind()
            required = await self._server.required() if kind else set()
        except DeliveryError as error:
            return Health(status=HealthStatus.DOWN, text=str(error))
        if kind is None:
            text = f"it has no service {self.config.service_code}: check service_code"
            return Health(status=HealthStatus.DOWN, text=text)
        if missing := sorted(required - set(self.config.attributes)):
            text = f"it requires attributes: {', '.join(missing)}"
            return Health(status=HealthStatus.DEGRADED, text=text)
        return Health(status=HealthStatus.OK) if self.heard else UNHEARD
