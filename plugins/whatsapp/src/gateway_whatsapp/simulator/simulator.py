"""The simulator as one object: ``async with CloudApiSimulator(...) as sim``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

import aiohttp
from aiohttp import web

from gateway.clock import Clock, SystemClock
from gateway_whatsapp import signature
from gateway_whatsapp.simulator import control, payloads
from gateway_whatsapp.simulator.faults import Fault
from gateway_whatsapp.simulator.ledger import Attempt, Ledger, SentMessage
from gateway_whatsapp.simulator.media import MediaLibrary
from gateway_whatsapp.simulator.server import GraphServer
from gateway_whatsapp.simulator.windows import Windows

API_VERSION = "v25.0"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class CloudApiSimulator:
    """A Cloud API with one number; ``base_url`` is known once it is entered.

    ``webhook_url`` is the gateway's address; it may be set later. ``statuses`` are
    sent, in this order, after each message taken; like Meta, the simulator repeats
    one until it is answered with 200. With ``windows`` it takes nothing but templates
    from whoever has not written for 24 hours; ``templates`` are the approved ones, name
    and language with the number of parameters (any, by default).
    """

    def __init__(  # noqa: PLR0913 (the account's settings, as at Meta)
        self,
        *,
        app_secret: str,
        token: str,
        phone_number_id: str,
        webhook_url: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        statuses: Sequence[str] = ("sent", "delivered"),
        clock: Clock | None = None,
        windows: bool = False,
        templates: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """Keep the settings; nothing is opened before the simulator is entered."""
        self.webhook_url = webhook_url
        self.statuses = tuple(statuses)
        self._app_secret = app_secret.encode()
        self._phone_number_id = phone_number_id
        self._address = (host, port)
        self._clock = clock or SystemClock()
        self.ledger = Ledger()
        self.media = MediaLibrary(self._clock)
        self._server = GraphServer(
            token=token,
            phone_number_id=phone_number_id,
            clock=self._clock,
            ledger=self.ledger,
            media=self.media,
            on_accepted=self._on_accepted,
        )
        if windows:
            self._server.windows = Windows(self._clock)
        if templates is not None:
            self._server.templates = dict(templates)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Serve."""
        self._http = aiohttp.ClientSession()
        app = self._server.application()
        app.router.add_routes(control.routes(self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/{API_VERSION}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop serving, and stop sending statuses."""
        self._server.stopped.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()
        await self._http.close()

    @property
    def attempts(self) -> list[Attempt]:
        """Return every request to send, in order."""
        return self.ledger.attempts

    @property
    def sent(self) -> list[SentMessage]:
        """Return every message that was taken, in order."""
        return self.ledger.sent

    @property
    def faults(self) -> deque[Fault]:
        """Return what will happen to the next attempts, one each."""
        return self._server.faults

    async def wait_sent(self, count: int, timeout: float = 10.0) -> list[SentMessage]:  # noqa: ASYNC109 (told to the caller with what is there)
        """Wait until ``count`` messages were taken; return them all.

        Raises:
            TimeoutError: fewer were within ``timeout`` seconds.

        """
        return await self.ledger.wait_sent(count, timeout)

    async def settled(self) -> None:
        """Wait until every status of what was taken so far is acknowledged."""
        await asyncio.gather(*self._tasks)

    def add_media(self, content: bytes, mime_type: str) -> str:
        """Keep a file as if a citizen had sent it; return its media id."""
        return self.media.add(content, mime_type).id

    def text(self, from_: str, body: str, **person: Any) -> dict[str, Any]:
        """Return a text message from the number ``from_``.

        ``person`` may give ``name`` and ``user_id``, here as in the other messages.
        """
        return self._message("text", from_, {"body": body}, **person)

    def image(
        self, from_: str, media_id: str, caption: str = "", **person: Any
    ) -> dict[str, Any]:
        """Return a message with an image of `add_media`."""
        more = {"caption": caption} if caption else {}
        return self._message("image", from_, self._object(media_id, **more), **person)

    def voice(self, from_: str, media_id: str, **person: Any) -> dict[str, Any]:
        """Return a voice message of `add_media`."""
        content = self._object(media_id, voice=True)
        return self._message("voice", from_, content, **person)

    def location(
        self,
        from_: str,
        latitude: float,
        longitude: float,
        *,
        place: str = "",
        address: str = "",
        **person: Any,
    ) -> dict[str, Any]:
        """Return a position in degrees, with name and address if a place was chosen."""
        content: dict[str, Any] = {"latitude": latitude, "longitude": longitude}
        if place:
            content["name"] = place
        if address:
            content["address"] = address
        return self._message("location", from_, content, **person)

    def status(
        self, sent: SentMessage, status: str, code: int | None = None
    ) -> dict[str, Any]:
        """Return a status of a message that was taken; ``failed`` has a ``code``."""
        return payloads.status(
            status,
            phone_number_id=self._phone_number_id,
            wamid=sent.wamid,
            to=sent.to,
            at=self._clock.now(),
            token=sent.biz_opaque_callback_data,
            code=code,
        )

    async def webhook(self, payload: Any, *, secret: str = "") -> tuple[int, str]:
        """Send a signed webhook once; return the answer's status and text.

        ``secret`` signs instead of the app's own.

        Raises:
            aiohttp.ClientError: the gateway does not answer.

        """
        if self._server.windows is not None:
            self._server.windows.note(payloads.value_of(payload))
        body = payloads.encode(payload)
        return await self.post(body, secret.encode() or self._app_secret)

    async def post(self, body: bytes, secret: bytes) -> tuple[int, str]:
        """Send raw bytes as a webhook, signed with ``secret``."""
        if self.webhook_url is None:
            raise ValueError("set webhook_url first")
        headers = {
            signature.HEADER: signature.sign(body, secret),
            "Content-Type": "application/json",
        }
        async with self._http.post(
            self.webhook_url, data=body, headers=headers
        ) as response:
            return response.status, await response.text()

    async def deliver(self, payload: Any) -> int:
        """Send a webhook as Meta does: again, ever later, until it is answered 200.

        Returns how many attempts it took.
        """
        pause, attempts = _FIRST_PAUSE, 1
        while not await self._delivered(payload):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            attempts += 1
        return attempts

    async def _delivered(self, payload: Any) -> bool:
        try:
            status, _ = await self.webhook(payload)
        except (aiohttp.ClientError, TimeoutError):
            return False
        return status == web.HTTPOk.status_code

    def _on_accepted(self, sent: SentMessage) -> None:
        if self.webhook_url is not None and self.statuses:
            task = asyncio.create_task(self._tell(sent))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, sent: SentMessage) -> None:
        for status in self.statuses:
            await self.deliver(self.status(sent, status))

    def _object(self, media_id: str, **more: Any) -> dict[str, Any]:
        medium = self.media.get(media_id)
        if medium is None:
            raise ValueError("add the file with add_media first")
        return medium.object(**more)

    def _message(
        self,
        kind: str,
        from_: str,
        content: dict[str, Any],
        *,
        name: str = "Maria Deiana",
        user_id: str | None = None,
    ) -> dict[str, Any]:
        return payloads.message(
            kind,
            phone_number_id=self._phone_number_id,
            from_=from_,
            name=name,
            user_id=user_id,
            at=self._clock.now(),
            content=content,
        )
