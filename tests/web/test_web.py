"""The web edge: accepted, refused or "come again", and never a surprise."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway import web as edge
from gateway.channel import RouteDef
from gateway.errors import StoreFull, StoreUnavailable
from gateway.metrics import Metrics
from gateway.model import HealthStatus
from gateway.web import Ops, Readiness, make_app

LIMIT = 1000


class Edge:
    """An application with one webhook that behaves as told."""

    def __init__(self) -> None:
        self.behave = self.accept
        self.ready = True
        self.metrics = Metrics()

    async def accept(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="accepted")

    async def readiness(self) -> Readiness:
        status = HealthStatus.OK if self.ready else HealthStatus.DOWN
        return Readiness(ready=self.ready, status=status, reasons=("full",))

    async def refresh(self) -> None:
        return

    def app(self) -> web.Application:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self.behave(request)

        route = RouteDef(method="POST", path="webhook", handler=handle)
        ops = Ops(readiness=self.readiness, refresh_metrics=self.refresh)
        return make_app([("urp", route)], ops, self.metrics, max_body_bytes=LIMIT)


@pytest.fixture
def served() -> Edge:
    return Edge()


@pytest.fixture
async def client(served: Edge):
    async with TestClient(TestServer(served.app())) as made:
        yield made


URL = "/channels/urp/webhook"


def raising(error: Exception):
    async def behave(request: web.Request) -> web.Response:
        raise error

    return behave


async def test_webhook_is_served_below_its_channel(client):
    """A channel's route is below its own prefix."""
    response = await client.post(URL, data=b"x")

    assert (200, "accepted") == (response.status, await response.text())


@pytest.mark.parametrize("error", [StoreFull("full"), StoreUnavailable("gone")])
async def test_no_room_asks_to_come_again(client, served, error):
    """Without room or database nothing is accepted: 503 and Retry-After."""
    served.behave = raising(error)

    response = await client.post(URL, data=b"x")

    assert (503, "30") == (response.status, response.headers["Retry-After"])


async def test_too_large_body_is_refused(client):
    """A body over the limit is a 413, before anybody reads it whole."""
    assert 413 == (await client.post(URL, data=b"x" * (LIMIT + 1))).status


async def test_compressed_body_is_refused(client):
    """A compressed body could be a bomb, and breaks the signature: 415."""
    headers = {"Content-Encoding": "gzip"}

    assert 415 == (await client.post(URL, data=b"x", headers=headers)).status


async def test_slow_body_is_refused(served, monkeypatch):
    """Who sends a body drop by drop is shown the door: 408."""
    monkeypatch.setattr(edge, "_REQUEST_SECONDS", 0.05)

    async def drops():
        yield b"x"
        await asyncio.sleep(5)
        yield b"x"

    async with TestClient(TestServer(served.app())) as client:
        assert 408 == (await client.post(URL, data=drops())).status


@pytest.fixture
async def port(served: Edge):
    """The port of a server set up as the daemon's: who leaves cancels nothing."""
    runner = web.AppRunner(served.app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_who_leaves_before_the_answer_is_no_error(port, served, caplog):
    """Providers give up waiting: what came is accepted, and nobody is alarmed."""
    gone, answered = asyncio.Event(), asyncio.Event()

    async def behave(request: web.Request) -> web.Response:
        await request.read()
        request.task.add_done_callback(lambda _: answered.set())
        await gone.wait()
        return web.Response(text="accepted")

    served.behave = behave
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {URL} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1\r\n\r\nx"
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    gone.set()
    await asyncio.wait_for(answered.wait(), 5)

    assert [] == [r for r in caplog.records if r.levelname in {"WARNING", "ERROR"}]


async def test_refusal_of_a_channel_is_passed_on_and_counted(client, served):
    """What a channel refuses is a 4xx in the metrics too."""
    served.behave = raising(web.HTTPUnauthorized())

    assert 401 == (await client.post(URL, data=b"x")).status

    text = await (await client.get("/metrics")).text()
    line = 'gateway_intake_refused_total{channel="urp",status="401"} 1.0'
    assert line in text


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_is_told_by_status_and_in_words(client, served, ready, status):
    """A load balancer reads the status, a person the reasons."""
    served.ready = ready

    response = await client.get("/readyz")

    assert status == response.status
    assert ["full"] == (await response.json())["reasons"]


async def test_nothing_else_is_served(client):
    """Unknown paths and methods are refused."""
    assert 404 == (await client.get("/")).status
    assert 404 == (await client.post("/channels/other/webhook")).status
    assert 405 == (await client.get(URL)).status
