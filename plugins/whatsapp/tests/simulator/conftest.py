"""How the tests here talk to the simulator, and who listens to it."""

from __future__ import annotations

import json

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_whatsapp.signature import HEADER, verify
from gateway_whatsapp.simulator import CloudApiSimulator

from gateway.testing.kit import ManualClock

NUMBER = "1122334455667"


@pytest.fixture
def clock() -> ManualClock:
    """The simulator's clock, which moves only when told to."""
    return ManualClock()


@pytest.fixture
def settings() -> dict:
    """More settings of the simulator."""
    return {}


@pytest.fixture
async def sim(clock, settings):
    """A simulator on that clock, with those settings."""
    async with CloudApiSimulator(
        app_secret="testappsecret",
        token="the-token",
        phone_number_id=NUMBER,
        clock=clock,
        **settings,
    ) as running:
        yield running


@pytest.fixture
async def http(sim):
    """A client with the token."""
    headers = {"Authorization": "Bearer the-token"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


@pytest.fixture
def ask(http, sim):
    """Ask the API; return status and answer."""

    async def request(method: str, path: str, **more) -> tuple[int, dict]:
        url = f"{sim.base_url}/{path}"
        async with http.request(method, url, **more) as response:
            return response.status, await response.json()

    return request


@pytest.fixture
def send(ask):
    """Post a message; return status and answer."""

    async def post(body, number: str = NUMBER) -> tuple[int, dict]:
        return await ask("POST", f"{number}/messages", json=body)

    return post


@pytest.fixture
def sent_code(send):
    """Post a message; return Meta's code, or 200."""

    async def post(body, number: str = NUMBER) -> int:
        status, answer = await send(body, number)
        return answer.get("error", {}).get("code", status)

    return post


class Hook:
    """A webhook that takes what it gets, after refusing the first few."""

    def __init__(self) -> None:
        self.refusals = 0
        self.got: list[dict] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert verify(body, request.headers[HEADER], [b"testappsecret"])
        if self.refusals:
            self.refusals -= 1
            raise web.HTTPServiceUnavailable
        self.got.append(json.loads(body))
        return web.Response(text="accepted\n")


@pytest.fixture
async def hook(sim):
    """Whom the simulator sends to."""
    made = Hook()
    app = web.Application()
    app.router.add_post("/hook", made.answer)
    async with TestServer(app) as server:
        sim.webhook_url = str(server.make_url("/hook"))
        yield made
