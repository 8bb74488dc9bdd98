"""The simulated Cloud API: an aiohttp application on a port of this machine."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import PayloadError
from gateway.payload import Payload
from gateway_whatsapp.simulator.account import Account, nothing
from gateway_whatsapp.simulator.blocking import BlockList
from gateway_whatsapp.simulator.citizens import Citizens
from gateway_whatsapp.simulator.failing import fail, next_of, pause
from gateway_whatsapp.simulator.faults import Fault, Faults, GraphError
from gateway_whatsapp.simulator.files import Files
from gateway_whatsapp.simulator.ledger import Ledger, SentMessage
from gateway_whatsapp.simulator.limits import Limits
from gateway_whatsapp.simulator.media import MediaLibrary
from gateway_whatsapp.simulator.sending import Sending

API_VERSION = "v25.0"
_LARGEST = 101 * 2**20
_TOKEN = 190
_VERSION = r"/{version:v\d+\.0}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GraphServer:
    """Answers the gateway's requests; refuses what Meta refuses, in Meta's words."""

    def __init__(
        self,
        *,
        token: str,
        account: Account,
        clock: Clock,
        on_accepted: Callable[[SentMessage], Awaitable[None]],
    ) -> None:
        """Serve ``account``; await ``on_accepted`` with every message taken."""
        self._token = token
        self.account = account
        self.faults = Faults()
        self.stopped = asyncio.Event()
        self.served_version = API_VERSION
        self.citizens = Citizens(clock)
        self.blocks = BlockList(self.citizens)
        self.media = MediaLibrary(clock)
        self.files = Files(account, self.media, self.faults, self.stopped)
        self.sending = Sending(
            account=account,
            clock=clock,
            ledger=Ledger(),
            media=self.media,
            citizens=self.citizens,
            limits=Limits(clock),
            faults=self.faults,
            stopped=self.stopped,
            on_accepted=on_accepted,
        )

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._as_meta], client_max_size=_LARGEST)
        router = app.router
        router.add_post(_VERSION + r"/{id}/messages", self._messages)
        router.add_post(_VERSION + r"/{id}/media", self.files.upload)
        for method in ("GET", "POST", "DELETE"):
            router.add_route(method, _VERSION + r"/{id}/block_users", self._block_users)
        router.add_get(_VERSION + r"/{id}/subscribed_apps", self._subscribed_apps)
        router.add_get(_VERSION + r"/{id}/message_templates", self._templates)
        router.add_get(_VERSION + r"/{id}", self._object)
        router.add_delete(_VERSION + r"/{id}", self.files.delete)
        router.add_get("/media/{key}", self._download)
        return app

    @web.middleware
    async def _as_meta(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Let nobody in without the token; answer an error in Meta's shape."""
        if "version" not in request.match_info:
            return await handler(request)
        try:
            self._authorise(request)
            response = await handler(request)
        except GraphError as error:
            response = web.json_response(
                error.body(), status=error.status, headers=pause(error.retry_after)
            )
        response.headers["facebook-api-version"] = self.served_version
        return response

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        return await self.sending.post(request, _decoded(await request.read()))

    async def _block_users(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["id"]
        self.account.require_number(number)
        if request.method == "GET":
            return web.json_response(self.blocks.show(number, request.query))
        body = _decoded(await request.read())
        fault = next_of(self.faults.block)
        if fault is not None and not fault.accepted:
            return await fail(request, fault, self.stopped)
        change = self.blocks.add if request.method == "POST" else self.blocks.remove
        told = change(number, body)
        if fault is not None:
            return await fail(request, fault, self.stopped)
        return web.json_response(told)

    async def _subscribed_apps(self, request: web.Request) -> web.StreamResponse:
        self._require_account(request)
        show = self.account.show_subscriptions
        return await self._shown(request, show)

    async def _templates(self, request: web.Request) -> web.StreamResponse:
        self._require_account(request)
        return await self._shown(
            request, lambda: self.account.show_templates(request.query)
        )

    async def _object(self, request: web.Request) -> web.StreamResponse:
        """Show a number, or where a file is."""
        found = request.match_info["id"]
        if found not in self.account.numbers:
            return await self.files.show(request)
        fields = request.query.get("fields")
        return await self._shown(
            request, lambda: self.account.show_number(found, fields)
        )

    async def _shown(
        self, request: web.Request, show: Callable[[], dict[str, Any]]
    ) -> web.StreamResponse:
        fault: Fault | None = next_of(self.faults.account)
        if fault is not None:
            return await fail(request, fault, self.stopped)
        return web.json_response(show())

    async def _download(self, request: web.Request) -> web.StreamResponse:
        if not self._is_known(request):
            raise web.HTTPUnauthorized
        return await self.files.download(request)

    def _is_known(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())

    def _authorise(self, request: web.Request) -> None:
        if not self._is_known(request):
            text = "Invalid OAuth access token - Cannot parse access token"
            raise GraphError(_TOKEN, text, status=401)

    def _require_account(self, request: web.Request) -> None:
        found = request.match_info["id"]
        if found != self.account.id:
            raise nothing(found)


def _decoded(raw: bytes) -> Payload:
    try:
        return Payload.from_json(raw)
    except PayloadError as error:
        raise GraphError(100, str(error)) from None
