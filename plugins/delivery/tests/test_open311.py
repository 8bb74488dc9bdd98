"""Reports to a strict GeoReport server, and what is known when its reply is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from gateway_delivery import Open311Config, Open311Connector
from gateway_delivery.open311 import report
from gateway_delivery.open311.report import Earlier
from gateway_delivery.texts import Texts
from georeport_server import CITY, FIXTURES, KEY, georeport
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.errors import DeliveryError, PayloadError
from gateway.model import ChannelId, HealthStatus, Semantics, ServiceId

WORDS = Texts("it")


@pytest.fixture
async def server():
    """The office's GeoReport server."""
    async with georeport() as serving:
        yield serving


@pytest.fixture
def connect(context, server):
    """Make the connector."""

    def make(**keys: Any) -> Open311Connector:
        values = {
            "base_url": server.url,
            "api_key": KEY,
            "jurisdiction_id": CITY,
            "service_code": "001",
            "attributes": {"SIZE": "L"},
            "timeout": 1.0,
        }
        config = Open311Config.model_validate(values | keys)
        timed = replace(context, clock=SystemClock())
        return Open311Connector(ServiceId("strade"), config, timed)

    return make


@pytest.fixture
def now(handover):
    """Make a delivery of this moment."""

    def make(**changes: Any):
        return handover(created_at=datetime.now(UTC), **changes)

    return make


async def test_message_is_a_report(connect, server, now, enclosure):
    """Place, text, the first photo as a link; nothing of who sent it."""
    url = "https://gw.example.it/files/x"
    files = (enclosure(), enclosure(url=url, last_day=date(2026, 4, 28)))
    receipt = await connect().deliver(now(enclosures=files))

    (posted,) = server.posted
    assert ("39.215300", "9.110700") == (posted["lat"], posted["long"])
    assert "via Roma" == posted["address_string"]
    assert url == posted["media_url"]
    assert posted["description"].startswith("C'è una buca")
    assert posted["description"].endswith(f"Rif. URP-2026-000123 · {now().delivery_id}")
    assert "Maria" not in str(posted)
    assert "393290000000" not in str(posted)
    assert "request 638345" == receipt.text


@pytest.mark.parametrize("numbers", [False, True])
async def test_lost_reply_is_found_and_not_sent_again(numbers, connect, server, now):
    """The server has it: asked, it says so, whatever its ids are made of."""
    connector = connect()
    server.lost, server.numbers = 1, numbers
    with pytest.raises(DeliveryError) as caught:
        await connector.deliver(now())
    found = await connector.resolve(now())

    assert (True, True) == (caught.value.retryable, caught.value.unknown)
    assert found is not None
    assert "request 638345" == found.text
    assert Semantics.QUERYABLE is connector.semantics


async def test_what_is_not_there_may_be_sent(connect, now):
    """A server that lists at once, and does not list it, has not got it."""
    assert await connect().resolve(now()) is None


async def test_another_report_of_the_case_is_not_taken_for_it(connect, now):
    """The delivery's id tells one report of a case from the next."""
    connector = connect()
    await connector.deliver(now())

    other = now(delivery_id="0198f2a4-7c1e-7b3a-9d55-0123456789ac", addition=True)
    assert await connector.resolve(other) is None


@pytest.mark.parametrize("code", ["002", "003"])
async def test_server_that_lists_late_can_not_deny(code, connect, now):
    """Batch or black box: whether it has the report stays unknown."""
    with pytest.raises(DeliveryError) as caught:
        await connect(service_code=code).resolve(now())

    error = caught.value
    assert ("open311_cant_tell", True, True) == (
        error.code,
        error.retryable,
        error.unknown,
    )


async def test_server_that_hides_texts_can_not_deny(connect, server, now):
    """Without descriptions nothing can be found, so nothing is known."""
    connector = connect()
    await connector.deliver(now())
    server.describes = False
    with pytest.raises(DeliveryError, match="cant_tell"):
        await connector.resolve(now())


@pytest.mark.parametrize(
    ("keys", "code", "account"),
    [
        ({"api_key": "falsa"}, "http_403", True),
        ({"jurisdiction_id": "altrove"}, "http_404", True),
        ({"service_code": "009"}, "http_404", True),
        ({"attributes": {}}, "http_400", False),
    ],
)
async def test_refusal_tells_the_servers_reason(keys, code, account, connect, now):
    """For good, with what the server says is wrong."""
    with pytest.raises(DeliveryError) as caught:
        await connect(**keys).deliver(now())

    error = caught.value
    assert (code, False, account) == (error.code, error.retryable, error.account)
    assert error.text.partition(": ")[2]


async def test_message_without_a_place_goes_another_way(connect, server, now, message):
    """GeoReport wants a place: configured, or the report is for the fallback."""
    bare = message(location=None)
    with pytest.raises(DeliveryError) as caught:
        await connect().deliver(now(message=bare))
    await connect(address_string="Comune di Prova").deliver(now(message=bare))

    error = caught.value
    assert ("open311_no_place", False) == (error.code, error.retryable)
    assert ["Comune di Prova"] == [each["address_string"] for each in server.posted]


async def test_addition_refers_to_the_report(connect, server, now, message):
    """It is at the same place, and says of which request it is."""
    connector = connect()
    await connector.deliver(now())
    more = message(location=None, text="È sempre più grande.")
    other = "0198f2a4-7c1e-7b3a-9d55-0123456789ac"
    await connector.deliver(now(message=more, addition=True, delivery_id=other))

    first, second = server.posted
    assert (first["lat"], first["long"]) == (second["lat"], second["long"])
    assert second["description"].startswith("Aggiunta alla richiesta 638345.")


@pytest.mark.parametrize("code", ["002", "003"])
async def test_addition_to_what_has_no_id_names_the_number(
    code, connect, server, now, message
):
    """By token or unheard of: whoever reads it can look for the first report."""
    connector = connect(service_code=code, attributes={})
    await connector.deliver(now())
    more = message(location=None, text="PROMEMORIA: È sempre più grande.")
    other = "0198f2a4-7c1e-7b3a-9d55-0123456789ac"
    await connector.deliver(now(message=more, addition=True, delivery_id=other))

    first, second = (each["description"] for each in server.posted)
    assert not first.startswith("Aggiunta")
    assert "Rif. URP-2026-000123" in first
    assert second.startswith("Aggiunta alla segnalazione URP-2026-000123: ")
    assert "PROMEMORIA" in second


async def test_addition_refers_to_the_id_that_a_token_has_got(
    connect, server, now, message
):
    """The server names its requests later: what comes then names the request."""
    connector = connect(service_code="002", attributes={})
    await connector.deliver(now())
    server.redeemed = True
    await connector.fetch_answers(ChannelId("sistemi"), connector.context)
    more = message(location=None, text="È sempre più grande.")
    other = "0198f2a4-7c1e-7b3a-9d55-0123456789ac"
    await connector.deliver(now(message=more, addition=True, delivery_id=other))

    assert server.posted[1]["description"].startswith("Aggiunta alla richiesta 638345.")


async def test_server_that_shows_late_by_hand_can_not_deny(connect, now):
    """One that is configured as moderated may have what it does not list."""
    with pytest.raises(DeliveryError, match="cant_tell"):
        await connect(moderated=True).resolve(now())


async def test_late_files_without_links_go_another_way(connect, now, enclosure):
    """GeoReport carries no bytes."""
    with pytest.raises(DeliveryError) as caught:
        await connect().deliver(now(follow_up=True, enclosures=(enclosure(),)))

    assert ("open311_no_links", False) == (caught.value.code, caught.value.retryable)


@pytest.mark.parametrize(
    ("keys", "status", "says"),
    [
        ({}, HealthStatus.OK, ""),
        ({"attributes": {}}, HealthStatus.DEGRADED, "SIZE"),
        ({"service_code": "009"}, HealthStatus.DOWN, "service_code"),
        ({"api_key": "falsa"}, HealthStatus.DOWN, "403: api_key is wrong"),
        ({"base_url": "http://127.0.0.1:1"}, HealthStatus.DOWN, "nothing listens"),
    ],
)
async def test_check_reports_nothing(keys, status, says, connect, server):
    """Key, service and attributes are looked at, without a report."""
    health = await connect(**keys).check()

    assert status is health.status
    assert says in health.text
    assert [] == server.posted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=9000))
def test_description_is_never_too_long_and_keeps_its_mark(handover, text):
    """The text is cut, not the mark by which the report is found again."""
    delivery = handover(text=text)
    links = [f"https://gw.example.it/files/{n}" for n in range(9)]
    made = report.description(delivery, WORDS, Earlier(request="1"), links)

    assert len(made) <= report.LONGEST_DESCRIPTION
    assert made.endswith(delivery.delivery_id)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accepted_number", ("293944", "")),
        ("accepted_text", ("006", "")),
        ("accepted_token", ("", "12345")),
        ("accepted_blackbox", ("", "")),
    ],
)
def test_each_kind_of_acceptance_is_read(name, expected):
    """An id as a number or text, a token, or nothing."""
    read = report.read_accepted((FIXTURES / f"{name}.json").read_bytes())

    assert expected == (read.request, read.token)


def test_list_of_requests_is_read():
    """Ids are texts, statuses known; what has neither is left out."""
    found = report.read_updates((FIXTURES / "requests.json").read_bytes())

    assert [("638349", True, "Fatto."), ("638344", False, "")] == [
        (each.request, each.closed, each.notes) for each in found
    ]


@given(st.binary(max_size=300))
def test_whatever_a_server_says_is_read_or_refused(body):
    """Nothing but a refusal ever comes of an answer."""
    for read in (report.read_accepted, report.read_updates, report.read_reason):
        try:
            read(body)
        except PayloadError:
            continue


async def test_long_list_is_read_whole(connect, server, now):
    """An answer of many parts is not taken for its first one."""
    connector = connect()
    await connector.deliver(now())
    (row,) = server.requests.values()
    for number in range(900):
        text = f"{number} " + "x" * 1000
        server.requests[str(number)] = row | {
            "service_request_id": str(number),
            "description": text,
        }
    server.requests["638345"] = server.requests.pop("638345")

    found = await asyncio.wait_for(connector.resolve(now()), 5)
    assert found is not None
