"""The simulator as one object: ``async with CloudApiSimulator(...) as sim``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from gateway.clock import Clock, SystemClock
from gateway_whatsapp import signature
from gateway_whatsapp.simulator import control, payloads
from gateway_whatsapp.simulator.account import Account, Approval, new_number
from gateway_whatsapp.simulator.faults import Faults, Statuses
from gateway_whatsapp.simulator.ledger import Attempt, ReadMark, SentMessage
from gateway_whatsapp.simulator.limits import PairLimit
from gateway_whatsapp.simulator.server import API_VERSION, GraphServer
from gateway_whatsapp.simulator.telephone import Telephone

WITHHELD = (0, "withheld: the citizen is blocked\n")
"""What `CloudApiSimulator.webhook` returns where Meta sends none."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class CloudApiSimulator(Telephone):
    """A Cloud API with one number, or more; ``base_url`` is known once it is entered.

    ``webhook_url`` is the gateway's address; it may be set later. ``statuses`` are
    sent, in this order, after each message taken; like Meta, the simulator repeats
    one until it is answered with 200. With ``windows`` it takes nothing but templates
    from whoever has not written for 24 hours; ``templates`` are the approved ones, name
    and language with the number of parameters (any, by default).
    ``messages_per_second`` and ``pair_limit`` are not kept unless they are given.
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
        templates: Mapping[tuple[str, str], int | Approval] | None = None,
        business_account_id: str = "102290129340398",
        messages_per_second: float | None = None,
        pair_limit: PairLimit | None = None,
    ) -> None:
        """Keep the settings; nothing is opened before the simulator is entered."""
        self.statuses = tuple(statuses)
        self._app_secret = app_secret.encode()
        self._address = (host, port)
        self.account = Account(
            id=business_account_id,
            numbers={phone_number_id: new_number()},
            templates=None if templates is None else _approvals(templates),
            webhook_url=webhook_url,
        )
        clock = clock or SystemClock()
        self._server = GraphServer(
            token=token,
            account=self.account,
            clock=clock,
            on_accepted=self._on_accepted,
        )
        super().__init__(phone_number_id, clock, self._server.media)
        self.blocks = self._server.blocks
        self.ledger = self._server.sending.ledger
        self._server.sending.windows = windows
        self._server.sending.limits.messages_per_second = messages_per_second
        self._server.sending.limits.pair = pair_limit
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Serve."""
        self._http = aiohttp.ClientSession()
        app = self._server.application()
        app.router.add_routes(control.routes(self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, *self._address).start()
        except OSError:
            await self._close()
            raise
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/{API_VERSION}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop serving, and stop sending statuses."""
        self._server.stopped.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._http.close()

    @property
    def webhook_url(self) -> str | None:
        """Return the gateway's address, as it is registered at Meta."""
        return self.account.webhook_url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.account.webhook_url = url

    @property
    def attempts(self) -> list[Attempt]:
        """Return every request to send, in order."""
        return self.ledger.attempts

    @property
    def sent(self) -> list[SentMessage]:
        """Return every message that was taken, in order."""
        return self.ledger.sent

    @property
    def read_marks(self) -> list[ReadMark]:
        """Return what was marked as read, in order."""
        return self.ledger.read_marks

    @property
    def withheld(self) -> list[Any]:
        """Return the webhooks that were not sent: blocked citizens wrote them."""
        return self.ledger.withheld

    @property
    def blocked(self) -> list[str]:
        """Return whom our number has blocked."""
        return list(self._server.citizens.blocked.get(self._phone_number_id, {}))

    @property
    def faults(self) -> Faults:
        """Return what will happen to the next requests, one each; itself for sends."""
        return self._server.faults

    @property
    def number(self) -> dict[str, Any]:
        """Return what our number says of itself; changes are shown."""
        return self.account.numbers[self._phone_number_id]

    @property
    def served_version(self) -> str:
        """Return the version that answers say they are of."""
        return self._server.served_version

    @served_version.setter
    def served_version(self, version: str) -> None:
        self._server.served_version = version

    def add_number(self, phone_number_id: str) -> dict[str, Any]:
        """Give the account another number; return what it says of itself."""
        number = new_number()
        self.account.numbers[phone_number_id] = number
        return number

    async def wait_sent(self, count: int, timeout: float = 10.0) -> list[SentMessage]:  # noqa: ASYNC109 (told to the caller with what is there)
        """Wait until ``count`` messages were taken; return them all.

        Raises:
            TimeoutError: fewer were within ``timeout`` seconds.

        """
        return await self.ledger.wait_sent(count, timeout)

    async def settled(self) -> None:
        """Wait until every status of what was taken so far is acknowledged."""
        await asyncio.gather(*self._tasks)

    async def webhook(self, payload: Any, *, secret: str = "") -> tuple[int, str]:
        """Send a signed webhook once; return the answer's status and text.

        What a blocked citizen wrote is withheld, and `WITHHELD` is returned if nothing
        is left. ``secret`` signs instead of the app's own.

        Raises:
            aiohttp.ClientError: the gateway does not answer.

        """
        body = self._heard(payload)
        if body is None:
            return WITHHELD
        return await self.post(body, secret.encode() or self._app_secret)

    def _heard(self, payload: Any) -> bytes | None:
        """Note a webhook on its way; return it as bytes, None if it is withheld."""
        left = self._server.citizens.let_through(payload)
        if left is not payload:
            self.withheld.append(payload)
        if left is None:
            return None
        self._server.citizens.note(left)
        return payloads.encode(left)

    async def post(self, body: bytes, secret: bytes) -> tuple[int, str]:
        """Send raw bytes as a webhook, signed with ``secret``."""
        async with self._http.post(
            self._target(), data=body, headers=_headers(body, secret)
        ) as response:
            return response.status, await response.text()

    def _target(self) -> str:
        if self.webhook_url is None:
            raise ValueError("set webhook_url first")
        return self.webhook_url

    async def cut(self, payload: Any) -> None:
        """Begin to send a webhook, and break off in the middle of its body."""
        body = self._heard(payload)
        if body is None:
            return
        url = URL(self._target())
        head = [f"POST {url.path} HTTP/1.1", f"Host: {url.host}:{url.port}"]
        head += [f"{k}: {v}" for k, v in _headers(body, self._app_secret).items()]
        head += [f"Content-Length: {len(body)}", "", ""]
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write("\r\n".join(head).encode() + body[: len(body) // 2])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def deliver(self, payload: Any) -> int:
        """Send a webhook as Meta does: again, ever later, until it is answered 200.

        Returns how many attempts it took; none if it was withheld.
        """
        pause, attempts = _FIRST_PAUSE, 1
        while (status := await self._delivered(payload)) != web.HTTPOk.status_code:
            if status == WITHHELD[0]:
                return 0
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            attempts += 1
        return attempts

    async def _delivered(self, payload: Any) -> int | None:
        try:
            status, _ = await self.webhook(payload)
        except (aiohttp.ClientError, TimeoutError):
            return None
        return status

    async def _on_accepted(self, sent: SentMessage) -> None:
        how = self.faults.status.popleft() if self.faults.status else Statuses()
        order = self.statuses if how.order is None else how.order
        if self.webhook_url is None or not order:
            return
        told = self._tell(sent, how, order)
        if how.early:
            await told
            return
        task = asyncio.create_task(told)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(
        self, sent: SentMessage, how: Statuses, order: Sequence[str]
    ) -> None:
        await asyncio.sleep(how.seconds)
        for status in order:
            # Who has lost some attempts comes again as late as any other.
            await asyncio.sleep(_FIRST_PAUSE * (2**how.lost - 1))
            code = how.code if status == "failed" else None
            payload = self.status(sent, status, code)
            for _ in range(how.times):
                await self.deliver(payload)


def _headers(body: bytes, secret: bytes) -> dict[str, str]:
    return {
        signature.HEADER: signature.sign(body, secret),
        "Content-Type": "application/json",
    }


def _approvals(
    templates: Mapping[tuple[str, str], int | Approval],
) -> dict[tuple[str, str], Approval]:
    return {
        key: value if isinstance(value, Approval) else Approval(parameters=value)
        for key, value in templates.items()
    }
