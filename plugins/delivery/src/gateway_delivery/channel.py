"""The channel ``services``: where services' own systems answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NoReturn

from aiohttp import web

from gateway.channel import Channel, RouteDef
from gateway.errors import AttachmentError, DeliveryError, PayloadError
from gateway.model import (
    Attachment,
    ChannelId,
    Inbound,
    Item,
    Message,
    Original,
    Outgoing,
    ServiceId,
)
from gateway.plugin import Context
from gateway_delivery import answers, signature
from gateway_delivery.config import ServicesConfig
from gateway_delivery.open311 import updates
from gateway_delivery.systems import Systems

_SIGNED = (signature.ID, signature.TIMESTAMP, signature.SIGNATURE)
_PAUSE_SECONDS = 600.0


class ServicesChannel(Channel[ServicesConfig]):
    """Takes answers that services' systems post, or that are fetched from them.

    Citizens never write here, and nothing is ever sent here.
    """

    def __init__(
        self,
        channel_id: ChannelId,
        config: ServicesConfig,
        context: Context[Any],
        systems: Systems | None = None,
    ) -> None:
        """Hear the ``systems`` of the same plugin; open nothing."""
        super().__init__(channel_id, config, context)
        self._systems = systems or Systems()
        self._said_at: dict[ServiceId, float] = {}

    def routes(self) -> Iterable[RouteDef]:
        """Serve the address where each service's system answers."""
        yield RouteDef(method="POST", path="answers/{service}", handler=self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Verify, look whether it can be read, store, then acknowledge."""
        service = ServiceId(request.match_info["service"])
        try:
            body = await request.read()
        except web.RequestPayloadError:
            raise web.HTTPBadRequest(text="the body is broken off\n") from None
        webhook_id = self._verified(service, request.headers, body)
        try:
            answers.read(body)
        except PayloadError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        item = Item(external_id=f"{service}/{webhook_id}", sender=service)
        kept = {name: _plain(request.headers[name]) for name in _SIGNED}
        await self.context.inbox.accept(self.id, body, [item], kept)
        return web.Response(status=202, text="accepted\n")

    def _verified(
        self, service: ServiceId, headers: Mapping[str, str], body: bytes
    ) -> str:
        """Return the id of what the service's own system signed.

        Raises:
            web.HTTPUnauthorized: it did not.

        """
        try:
            secrets = self._systems.secrets(service)
            now = self.context.clock.now()
            return signature.verify(headers, body, secrets, now)
        except (signature.Refused, ValueError) as error:
            self._say_refused(service)
            raise web.HTTPUnauthorized(text=f"{error}\n") from None

    def _say_refused(self, service: ServiceId) -> None:
        """Say now and then that a service is not heard: whoever wants can knock."""
        now = self.context.clock.monotonic()
        said_at = self._said_at.get(service, -_PAUSE_SECONDS)
        if service in self._systems.services() and now - said_at >= _PAUSE_SECONDS:
            self._said_at[service] = now
            self.context.log.warning("answer_refused", service=service)

    async def receive(self) -> None:
        """Fetch the answers of systems that don't post them."""
        while True:
            for each in self._systems.fetched():
                try:
                    await each.fetch_answers(self.id, self.context)
                except Exception as error:  # noqa: BLE001 (one system stops no other)
                    fault = type(error).__name__
                    self.context.log.warning("answers_not_fetched", error=fault)
            await asyncio.sleep(self.config.poll_seconds)

    def parse(self, inbound: Inbound) -> Message:
        """Read a stored answer.

        Raises:
            PayloadError: it can't be read; it is kept and shown to staff.

        """
        original = inbound.original
        if original.headers.get("kind") == updates.KIND:
            said = updates.read(original.body, original.headers)
        else:
            said = answers.read(original.body)
        return answers.to_message(said, inbound)

    async def fetch(
        self, original: Original, attachment: Attachment
    ) -> AsyncIterator[bytes]:
        """Return a file that came within its answer.

        Raises:
            AttachmentError: it is not there.

        """
        try:
            found = answers.content(original.body, attachment.locator)
        except PayloadError as error:
            raise AttachmentError("unreadable", str(error), retryable=False) from error
        yield found

    async def send(self, outgoing: Outgoing) -> NoReturn:
        """Refuse: no citizen is on this channel."""
        text = f"{self.id} is for services' answers: nobody gets {outgoing.delivery_id}"
        raise DeliveryError("no_citizens", text, retryable=False)


def _plain(value: str) -> str:
    """Return a header as text that can be stored, whatever octets it came in."""
    return value.encode("ascii", "replace").decode()
