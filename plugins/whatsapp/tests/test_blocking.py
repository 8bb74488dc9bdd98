"""Meta's list of blocked users follows the gateway's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_whatsapp import blocking

from gateway.errors import DeliveryError
from gateway.model import Address, HealthStatus

NUMBER = "393290000000"
BSUID = "IT.13491208655302741918"


@dataclass
class Meta:
    """A Graph API that answers as it is told, and remembers what it was asked."""

    status: int = 200
    answer: Any = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path.split("/", 2)[2]
        self.asked.append((request.method, path, await request.json()))
        if isinstance(self.answer, str):
            return web.Response(status=self.status, text=self.answer)
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def meta():
    """A Graph API, and its address."""
    made = Meta()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/v25.0"))
        yield made


@pytest.fixture
def tell(channel, meta):
    """Let a channel tell Meta; return what it answers, and the channel."""

    async def call(value: str = NUMBER, *, blocked: bool = True, **changes: Any):
        made = channel(base_url=meta.url, **changes)
        address = Address("whatsapp", value)
        return await made.set_blocked(address, blocked=blocked), made

    return call


def error(code: int, status: int = 400) -> tuple[int, Any]:
    """Return a refusal of the whole request."""
    return status, {"error": {"message": "m", "type": "OAuthException", "code": code}}


def of_user(code: Any, status: int = 400) -> tuple[int, Any]:
    """Return a refusal of one user, as Meta tells it beside the general code."""
    failed = {"input": NUMBER, "errors": [{"message": "m", "code": code}]}
    _, general = error(139100)
    users = {"messaging_product": "whatsapp", "block_users": {"failed_users": [failed]}}
    return status, {**users, **(general if status != 200 else {})}


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize(("value", "key"), [(NUMBER, "user"), (BSUID, "user_id")])
async def test_meta_is_told(tell, meta, blocked, value, key):
    """By the user id where it is known, else by the number."""
    meta.answer = {"block_users": {"added_users": [{"input": value}]}}

    code, channel = await tell(value, blocked=blocked)

    assert code is None
    body = {"messaging_product": "whatsapp", "block_users": [{key: value}]}
    method = "POST" if blocked else "DELETE"
    assert [(method, "1122334455667/block_users", body)] == meta.asked
    assert HealthStatus.OK is channel.health().status


@pytest.mark.parametrize(
    ("answer", "blocked", "code"),
    [
        (of_user(131047), True, "131047"),
        (of_user("131047"), True, "131047"),
        (of_user(131047, status=200), True, "131047"),
        (of_user(131047), False, "131047"),
        (of_user(131021), True, "131021"),
        (of_user(987654), True, "987654"),
        (error(10, 403), True, "10"),
        (error(3, 400), True, "3"),
        (error(200, 403), True, "200"),
        (error(3, 400), False, "3"),
        (error(131005, 403), True, "131005"),
        (error(100, 400), True, "100"),
    ],
)
async def test_what_meta_will_not_do_is_left_at_that(tell, meta, answer, blocked, code):
    """Nobody who wrote in the last 24 hours, no such list: the account is not ill."""
    meta.status, meta.answer = answer

    told, channel = await tell(blocked=blocked)

    assert code == told
    assert HealthStatus.OK is channel.health().status


@pytest.mark.parametrize(
    ("answer", "blocked", "expected"),
    [
        (of_user(139103), True, ("139103", True, False)),
        (error(139102), True, ("139102", True, False)),
        (error(139101), True, ("139101", False, False)),
        (error(139100), False, ("139100", False, False)),
        (of_user(987654), False, ("987654", False, False)),
        (error(10, 403), False, ("10", True, True)),
        (error(100), False, ("100", False, False)),
        (error(190, 401), True, ("190", True, True)),
        (error(130429, 429), True, ("130429", True, False)),
        ((500, "oops"), True, ("http_500", True, False)),
    ],
)
async def test_refusal_is_data(tell, meta, answer, blocked, expected):
    """Somebody who can't be taken off the list is shown to staff."""
    meta.status, meta.answer = answer

    with pytest.raises(DeliveryError) as caught:
        await tell(blocked=blocked)

    assert expected == (
        caught.value.code,
        caught.value.retryable,
        caught.value.account,
    )
    assert NUMBER not in str(caught.value)


async def test_no_answer_is_tried_again(channel):
    """Asking twice does no harm."""
    made = channel(base_url="http://127.0.0.1:9/v25.0")

    with pytest.raises(DeliveryError) as caught:
        await made.set_blocked(Address("whatsapp", NUMBER), blocked=True)

    assert ("unreachable", True) == (caught.value.code, caught.value.retryable)


async def test_other_addresses_are_refused(channel, meta):
    """A plugin may know a citizen by an address that is not WhatsApp's."""
    made = channel(base_url=meta.url)

    with pytest.raises(DeliveryError, match="bad_address"):
        await made.set_blocked(Address("mailto", "a@b.it"), blocked=True)
    assert [] == meta.asked


async def test_configuration_may_not_want_it(tell, meta):
    """Then Meta hears nothing."""
    code, _ = await tell(mirror_blocks=False)

    assert blocking.OFF == code
    assert [] == meta.asked
