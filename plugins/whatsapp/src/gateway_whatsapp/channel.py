"""The channel: one WhatsApp Business number."""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiohttp import web

from gateway.channel import Channel, Rate, RouteDef
from gateway.model import (
    Address,
    AddressChange,
    Attachment,
    ChannelId,
    Enclosure,
    Health,
    HealthStatus,
    Inbound,
    Item,
    Message,
    Original,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Semantics,
)
from gateway.plugin import Context
from gateway_whatsapp import blocking, checking, signature
from gateway_whatsapp.account import Account
from gateway_whatsapp.client import CloudApi
from gateway_whatsapp.config import WhatsAppConfig
from gateway_whatsapp.doorbell import Doorbell
from gateway_whatsapp.parse import parse
from gateway_whatsapp.render import carries
from gateway_whatsapp.siblings import Numbers
from gateway_whatsapp.split import split
from gateway_whatsapp.versions import advice

# Only a plain word is echoed: whoever asks can't make us say anything else.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,256}")


_AT_ONCE = 5
"""Messages that may go at the same moment; more would only wait at Meta's door."""


class WhatsAppChannel(Channel[WhatsAppConfig]):
    """Takes Meta's webhooks, answers by the Graph API."""

    semantics = Semantics.BLIND
    grace_seconds = 60.0

    def __init__(
        self,
        channel_id: ChannelId,
        config: WhatsAppConfig,
        context: Context[Any],
        numbers: Numbers | None = None,
    ) -> None:
        """Keep what is needed, among ``numbers`` of the same plugin; open nothing."""
        super().__init__(channel_id, config, context)
        self._numbers = numbers or Numbers()
        self._numbers.add(channel_id, config)
        self._account = Account(channel_id, context.log)
        self._doorbell = Doorbell(channel_id, context.log, context.clock)
        self._api = CloudApi(config, context.http, context.clock, self._account)

    def rates(self) -> Iterable[Rate]:
        """Return the number's rate and the pair rate (*Cloud API: throughput*)."""
        yield Rate(per_second=self.config.messages_per_second, burst=_AT_ONCE)
        yield Rate(per_second=1 / 6, burst=45, each_recipient=True)

    def routes(self) -> Iterable[RouteDef]:
        """Serve the webhook; its address is what you register at Meta."""
        return (
            RouteDef(method="GET", path="webhook", handler=self._handshake),
            RouteDef(method="POST", path="webhook", handler=self._webhook),
        )

    async def _handshake(self, request: web.Request) -> web.StreamResponse:
        """Answer Meta's question whether the address is ours (*Webhooks: verify*)."""
        query = request.query
        challenge = query.get("hub.challenge", "")
        given = query.get("hub.verify_token", "").encode("utf-8", "surrogateescape")
        token = self.config.verify_token.get_secret_value().encode()
        known = hmac.compare_digest(given, token)
        if not known or query.get("hub.mode") != "subscribe":
            self._doorbell.refused("handshake_refused")
            raise web.HTTPForbidden(text="verify_token or mode is wrong\n")
        if not _CHALLENGE.fullmatch(challenge):
            raise web.HTTPForbidden(text="challenge is no plain word\n")
        return web.Response(
            text=challenge, headers={"X-Content-Type-Options": "nosniff"}
        )

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        """Verify, split, store, then acknowledge."""
        try:
            body = await request.read()
        except web.RequestPayloadError:
            raise web.HTTPBadRequest(text="the body is broken off\n") from None
        given = request.headers.get(signature.HEADER, "")
        if not signature.verify(body, given, self.config.keys()):
            self._doorbell.refused("signature_refused")
            raise web.HTTPUnauthorized(text="signature missing or wrong\n")
        self._doorbell.let_in()
        parts, ignored = self._split(body, given)
        if not parts:
            return web.Response(text=f"ignored: {', '.join(ignored)}\n")
        kind = request.headers.get("Content-Type", "")
        headers = {signature.HEADER: given, "Content-Type": kind}
        for channel_id, items in parts.items():
            await self.context.inbox.accept(channel_id, body, items, headers)
        return web.Response(text="accepted\n")

    def _split(
        self, body: bytes, given: str
    ) -> tuple[dict[ChannelId, tuple[Item, ...]], tuple[str, ...]]:
        """Tell what each channel of the app gets, and why there is no more.

        Raises:
            web.HTTPUnauthorized: a sibling with a part of it does not know the secret
                that signed. It is about to change, so Meta is asked to come again.

        """
        siblings = self._numbers.siblings(self.config)
        owners = {each.phone_number_id: key for key, each in siblings.items()}
        found = split(body, self.config.phone_number_id, owners)
        parts = {self.id: found.items} if found.items else {}
        for number, items in found.others.items():
            owner = owners[number]
            if not signature.verify(body, given, siblings[owner].keys()):
                text = f"app_secrets of channel {owner} lack the one that signed\n"
                raise web.HTTPUnauthorized(text=text)
            parts[owner] = items
        return parts, found.ignored

    def parse(self, inbound: Inbound) -> Message | Receipt | AddressChange:
        """Read a stored item.

        Raises:
            PayloadError: it can't be read; it is kept and shown to staff.

        """
        read = parse(inbound)
        if isinstance(read, Receipt):
            failed = read.status is ReceiptStatus.FAILED
            self._account.told((read.code or "unknown") if failed else "")
        return read

    def carries(self, enclosure: Enclosure) -> bool:
        """Tell whether Meta takes a file."""
        return carries(enclosure)

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Send a text, a menu, a position or a file to a citizen.

        Raises:
            DeliveryError: not taken, or whether it was taken is unknown.

        """
        return await self._api.send(outgoing)

    def fetch(self, original: Original, attachment: Attachment) -> AsyncIterator[bytes]:
        """Stream an attachment from Meta.

        Raises:
            AttachmentError: it can't be had, now or ever.

        """
        del original
        return self._api.download(attachment.locator)

    async def set_blocked(self, address: Address, *, blocked: bool) -> str | None:
        """Let Meta's list of blocked users follow ours; return the code if it won't.

        Raises:
            DeliveryError: not done, now or ever.

        """
        if not self.config.mirror_blocks:
            return blocking.OFF
        return await blocking.set_blocked(
            self._api, self._account, address, blocked=blocked
        )

    async def check(self) -> Health:
        """Ask Meta whether token, number, webhook and templates are right."""
        channels = [self.id, *self._numbers.siblings(self.config)]
        found = await checking.check(self._api, self.config, channels)
        return checking.worst([found, *self._version()])

    def health(self) -> Health:
        """Say how the last request to Meta went, and when the API's version ends."""
        known = [self._account.health, self._doorbell.health, *self._version()]
        return checking.worst(known)

    def _version(self) -> Iterable[Health]:
        today = self.context.clock.now().date()
        text = advice(self.config.version, self._api.served, today)
        return [Health(status=HealthStatus.DEGRADED, text=text)] if text else []

    async def close(self) -> None:
        """Leave the numbers of the app."""
        self._numbers.remove(self.id, self.config)
