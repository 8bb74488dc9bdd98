"""Hand-overs posted to a real server, verified by the reference library."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, date, datetime
from email.utils import format_datetime

import pytest
from gateway_delivery import WebhookConfig, WebhookConnector
from office_server import office_server
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from gateway.clock import SystemClock
from gateway.errors import DeliveryError
from gateway.model import Address, HealthStatus, Semantics, ServiceId

OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
DECISIONS = ("retryable", "unknown", "account")


@pytest.fixture
async def office():
    """The office's system."""
    async with office_server() as serving:
        yield serving


@pytest.fixture
def connect(context):
    """Make the connector to an address."""

    def make(url: str, **keys) -> WebhookConnector:
        values = {"url": url, "secrets": [NEW, OLD], "timeout": 1.0, **keys}
        config = WebhookConfig.model_validate(values)
        timed = replace(context, clock=SystemClock())
        return WebhookConnector(ServiceId("strade"), config, timed)

    return make


async def test_handover_is_a_signed_cloud_event(connect, office, handover, enclosure):
    """Whoever knows either secret can verify it; the event has all there is."""
    link = enclosure(url="https://gw.example.it/files/x", last_day=date(2026, 4, 28))
    receipt = await connect(office.url).deliver(handover(enclosures=(link,)))

    (posted,) = office.requests
    for secret in (OLD, NEW):
        event = Webhook(secret).verify(posted.body, posted.headers)
    delivery = event.pop("data")
    assert {
        "specversion": "1.0",
        "id": handover().delivery_id,
        "source": "/municipal-gateway",
        "type": "municipal_gateway.report",
        "subject": "case/URP-2026-000123",
        "time": "2026-03-29T20:04:05+00:00",
        "datacontenttype": "application/json",
    } == event
    kind = posted.headers["content-type"]
    assert "application/cloudevents+json; charset=utf-8" == kind
    assert event["id"] == posted.headers["webhook-id"] == delivery["delivery"]
    assert "https://gw.example.it/files/x" == delivery["files"][0]["url"]
    assert "2026-04-28" == delivery["files"][0]["last_day"]
    assert 39.2153 == delivery["message"]["location"]["latitude"]
    assert f"webhook:{event['id']}" == receipt.external_id


async def test_repetition_bears_the_same_id(connect, office, handover):
    """The key is constant over attempts: the office knows what it has had."""
    connector = connect(office.url)
    office.answers = [503, 204]
    with pytest.raises(DeliveryError):
        await connector.deliver(handover())
    await connector.deliver(handover(attempt=2, maybe_sent=True))

    assert 1 == len({posted.headers["webhook-id"] for posted in office.requests})
    assert Semantics.KEYED is connector.semantics


@pytest.mark.parametrize(
    ("answer", "code", "decision"),
    [
        (301, "redirected", ["account"]),
        (400, "http_400", []),
        (401, "http_401", ["account"]),
        (404, "http_404", ["account"]),
        (408, "http_408", ["retryable"]),
        (410, "http_410", ["account"]),
        (422, "http_422", []),
        (429, "http_429", ["retryable"]),
        (500, "http_500", ["retryable", "unknown"]),
        (502, "http_502", ["retryable", "unknown"]),
        (503, "http_503", ["retryable"]),
        ("cut", "no_answer", ["retryable", "unknown"]),
        ("hang", "no_answer", ["retryable", "unknown"]),
    ],
)
async def test_each_end_is_judged_once(answer, code, decision, connect, handover):
    """4xx is for good, the rest for now; who may have it is unknown, not failed."""
    async with office_server() as office:
        office.answers = [answer]
        office.headers = {"Location": "/elsewhere"}
        with pytest.raises(DeliveryError) as caught:
            await connect(office.url, timeout=0.3).deliver(handover())

    error = caught.value
    said = {name for name in DECISIONS if getattr(error, name)}
    assert (code, set(decision)) == (error.code, said)
    assert ["/events"] == [posted.path for posted in office.requests]


async def test_nobody_there_is_known_not_to_have_it(connect, handover):
    """Without a connection nothing was sent."""
    with pytest.raises(DeliveryError) as caught:
        await connect("http://127.0.0.1:1/x").deliver(handover())

    error = caught.value
    assert ("unreachable", True, False) == (error.code, error.retryable, error.unknown)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("999999999999", 86400),
        (format_datetime(datetime(2099, 1, 1, tzinfo=UTC), usegmt=True), 86400),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0),
        ("soon", None),
        ("-1", None),
    ],
)
async def test_retry_after_is_honoured(value, seconds, connect, office, handover):
    """Seconds or a date, a day at most; what is neither is left aside."""
    office.answers, office.headers = [429], {"Retry-After": value}
    with pytest.raises(DeliveryError) as caught:
        await connect(office.url).deliver(handover())

    assert seconds == caught.value.retry_after


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (204, HealthStatus.OK),
        (405, HealthStatus.OK),
        (404, HealthStatus.DEGRADED),
        (500, HealthStatus.DEGRADED),
        ("cut", HealthStatus.DOWN),
    ],
)
async def test_check_sends_nothing(answer, status, connect, office):
    """The address is tried without an event."""
    office.answers = [answer] * 2  # what is cut is asked once more
    health = await connect(office.url).check()

    assert status is health.status
    assert {("OPTIONS", b"")} == {(p.method, p.body) for p in office.requests}


@pytest.mark.parametrize(
    "url",
    [
        "http://office.example.it/x",
        "https://user:word@office.example.it/x",
        "https://office.example.it/x#part",
        "ftp://office.example.it/x",
        "https:///x",
        "https://[/",
        "office",
    ],
)
def test_personal_data_go_encrypted(url):
    """Only https, but on this machine itself."""
    with pytest.raises(ValidationError, match="https://"):
        WebhookConfig.model_validate({"url": url, "secrets": [NEW]})


@pytest.mark.parametrize("secrets", [[], ["whsec_short"], [OLD, NEW, NEW]])
def test_secrets_are_one_or_two(secrets):
    """Two while one replaces the other; each as the standard has it."""
    values = {"url": "https://office.example.it/x", "secrets": secrets}
    with pytest.raises(ValidationError) as caught:
        WebhookConfig.model_validate(values)

    assert NEW not in str(caught.value)


def test_only_its_own_system_answers(connect):
    """Nobody else may speak for the service."""
    connector = connect("https://office.example.it/x")

    assert connector.may_answer(Address("service", "strade"))
    assert not connector.may_answer(Address("service", "rifiuti"))
