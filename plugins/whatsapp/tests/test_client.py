"""The Graph API against the simulator, with all that a line can do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from gateway_whatsapp.simulator import Fault

from gateway.errors import AttachmentError, DeliveryError
from gateway.model import (
    Address,
    Attachment,
    ChannelId,
    Enclosure,
    HealthStatus,
    Original,
    ReceiptStatus,
)

DELIVERY = "0198f2a4-7c1e-7b3a-9d55-0123456789ab"
CONTENT = b"0123456789abcdef" * 65_536


@pytest.fixture
def reach(channel, sim):
    """Make a channel that reaches the simulator."""
    return lambda **changes: channel(**{"base_url": sim.base_url, **changes})


@pytest.fixture
def fetched(original):
    """Fetch an attachment as a whole."""

    async def fetch(channel, media_id: str) -> bytes:
        attachment = Attachment(media_type="image/jpeg", locator=media_id)
        return b"".join([chunk async for chunk in channel.fetch(original, attachment)])

    return fetch


@pytest.fixture
def original(outgoing):
    """A stored original (the attachment's locator says it all)."""
    return Original(
        id="o",
        channel=ChannelId("whatsapp"),
        body=b"",
        headers={},
        received_at=outgoing().created_at,
    )


@pytest.fixture
async def answering():
    """Start a server that gives one answer to everything; return its address."""
    servers = []

    async def start(handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("/v25.0"))

    yield start
    for server in servers:
        await server.close()


async def test_text_is_sent(reach, sim, outgoing):
    """The citizen gets the text once, as an answer, and we get Meta's id."""
    receipt = await reach().send(outgoing())
    [sent] = await sim.wait_sent(1)

    assert (ReceiptStatus.SENT, sent.wamid, DELIVERY) == (
        receipt.status,
        receipt.external_id,
        receipt.delivery_id,
    )
    assert (
        "393290000000",
        "Grazie, la sua segnalazione è la URP-2026-000123.",
        DELIVERY,
        "wamid.abc",
    ) == (sent.to, sent.text, sent.biz_opaque_callback_data, sent.context_id)


async def test_user_without_number_is_reached(reach, sim, outgoing):
    """A user id is a way to write, too."""
    await reach().send(outgoing(to=Address("whatsapp", "IT.1349120")))

    assert "IT.1349120" == sim.sent[0].to


async def test_statuses_come_back(reach, serve, sim, outgoing, inbox):
    """After a send Meta tells sent and delivered, with our id in them."""
    channel = reach()
    sim.webhook_url = await serve(channel)
    receipt = await channel.send(outgoing())
    await inbox.wait_for(2)
    statuses = [
        json.loads(body)["entry"][0]["changes"][0]["value"]["statuses"][0]
        for body, _, _ in inbox.calls
    ]

    assert ["sent", "delivered"] == [status["status"] for status in statuses]
    assert {receipt.external_id} == {status["id"] for status in statuses}
    assert {DELIVERY} == {status["biz_opaque_callback_data"] for status in statuses}


@pytest.mark.parametrize(
    "case",
    [
        ("answer", "answer", True),
        ("answer", "notice", False),
        ("notice", "notice", True),
        ("never", "answer", False),
    ],
    ids=str,
)
async def test_read_marks(reach, serve, sim, outgoing, case):
    """The citizen sees that it was read, and that somebody writes, before it comes."""
    setting, purpose, marked = case
    channel = reach(read_marks=setting)
    sim.webhook_url = await serve(channel)
    said = sim.text("393290000000", "C'è una buca")
    await sim.webhook(said)
    wamid = said["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
    await channel.send(outgoing(purpose=purpose, quote=wamid))

    outcomes = [attempt.outcome for attempt in sim.attempts]
    assert (["marked as read"] if marked else []) + ["accepted"] == outcomes


async def test_read_mark_that_fails_keeps_nothing_back(reach, sim, outgoing):
    """It is only a courtesy."""
    await reach().send(outgoing(purpose="answer", quote="wamid.never-seen"))

    assert 1 == len(sim.sent)


OK, DEGRADED, DOWN = HealthStatus.OK, HealthStatus.DEGRADED, HealthStatus.DOWN


@dataclass(frozen=True)
class Faulty:
    """A fault, and what it must mean."""

    fault: Fault
    code: str
    retryable: bool
    health: HealthStatus
    unknown: bool = False


FAULTS = [
    Faulty(Fault.timeout(), "no_answer", True, DEGRADED, unknown=True),
    Faulty(Fault.timeout(accepted=True), "no_answer", True, DEGRADED, unknown=True),
    Faulty(Fault.dropped(), "no_answer", True, DEGRADED, unknown=True),
    Faulty(Fault.dropped(accepted=True), "no_answer", True, DEGRADED, unknown=True),
    Faulty(Fault.http(502), "http_502", True, DEGRADED, unknown=True),
    Faulty(Fault.http(503, accepted=True), "http_503", True, DEGRADED, unknown=True),
    Faulty(Fault.http(429), "http_429", True, DEGRADED),
    Faulty(Fault.http(404), "http_404", True, DOWN),
    Faulty(Fault.error(130429, status=429), "130429", True, DEGRADED),
    Faulty(Fault.error(131016, status=503), "131016", True, DEGRADED),
    Faulty(Fault.error(131056), "131056", True, OK),
    Faulty(Fault.error(190, status=401), "190", True, DOWN),
    Faulty(Fault.error(131047), "needs_template", False, OK),
    Faulty(Fault.error(131026), "131026", False, OK),
    Faulty(Fault.error(131009), "131009", False, OK),
]


@pytest.mark.parametrize("case", FAULTS, ids=str)
async def test_fault(reach, sim, outgoing, case):
    """Each fault says whether to try again, and whether it may have been taken."""
    channel = reach(timeout=1.0 if case.code == "no_answer" else 5.0)
    sim.faults.append(case.fault)
    with pytest.raises(DeliveryError) as caught:
        await channel.send(outgoing())

    error = caught.value
    assert case == Faulty(
        fault=case.fault,
        code=error.code,
        retryable=error.retryable,
        health=channel.health().status,
        unknown=error.unknown,
    )
    assert int(case.fault.accepted) == len(sim.sent)
    assert 1 == len(sim.attempts)


async def test_account_fault_is_told_apart(reach, sim, outgoing):
    """A token that has expired counts against the account, and says what to do."""
    sim.faults.append(Fault.error(190, status=401))
    with pytest.raises(DeliveryError, match="set a good one") as caught:
        await reach().send(outgoing())

    assert caught.value.account


async def test_pause_is_obeyed(reach, sim, outgoing):
    """Meta's Retry-After is what we wait."""
    sim.faults.append(Fault.error(4, status=429, retry_after=17))
    with pytest.raises(DeliveryError) as caught:
        await reach().send(outgoing())

    assert 17.0 == caught.value.retry_after


async def test_wrong_token_is_refused(reach, sim, outgoing):
    """With another token nothing goes out, and the channel is down."""
    channel = reach(token="another")
    with pytest.raises(DeliveryError) as caught:
        await channel.send(outgoing())

    assert ("190", HealthStatus.DOWN) == (caught.value.code, channel.health().status)
    assert [] == sim.sent


async def test_nobody_there(channel, outgoing):
    """No connection: nothing went out, so nothing is unknown."""
    away = channel(base_url=f"http://127.0.0.1:{unused_port()}/v25.0")
    with pytest.raises(DeliveryError) as caught:
        await away.send(outgoing())

    error = caught.value
    assert ("unreachable", True, False) == (error.code, error.retryable, error.unknown)


@pytest.mark.parametrize("text", ["", "<html>", "{}", '{"messages":[]}'])
async def test_unreadable_answer_is_unknown(channel, answering, outgoing, text):
    """200 means taken; without an id we wait for a status to tell."""

    async def handler(request):
        return web.Response(text=text)

    with pytest.raises(DeliveryError) as caught:
        await channel(base_url=await answering(handler)).send(outgoing())

    assert ("unreadable_answer", True) == (caught.value.code, caught.value.unknown)


async def test_every_published_answer_is_read(channel, answering, outgoing, fixture):
    """The id is found in each of Meta's example answers of a send."""
    examples = fixture("responses/meta_examples.json")["200"]
    answers = [each for each in examples.values() if "messages" in each]
    queue = iter(answers)

    async def handler(request):
        return web.json_response(next(queue))

    made = channel(base_url=await answering(handler))
    receipts = [await made.send(outgoing()) for _ in answers]

    assert len(receipts) > 20
    assert [each["messages"][0]["id"] for each in answers] == [
        receipt.external_id for receipt in receipts
    ]


async def test_redirect_is_not_followed(channel, answering, outgoing):
    """Our token goes nowhere else."""
    seen = []

    async def handler(request):
        seen.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    with pytest.raises(DeliveryError) as caught:
        await channel(base_url=await answering(handler)).send(outgoing())

    assert "http_307" == caught.value.code
    assert 1 == len(seen)


async def test_file_is_streamed(reach, sim, fetched):
    """A file comes whole, in pieces."""
    media_id = sim.add_media(CONTENT, "image/jpeg")
    found = await fetched(reach(), media_id)

    assert hashlib.sha256(CONTENT).digest() == hashlib.sha256(found).digest()


async def test_expired_address_is_asked_for_once_more(reach, sim, fetched):
    """An address that has expired on the way is no loss."""
    media_id = sim.add_media(b"photo", "image/jpeg")
    sim.media.expiring = 1

    assert b"photo" == await fetched(reach(), media_id)


async def test_address_that_expires_again_and_again(reach, sim, fetched):
    """As long as Meta knows the id, it is asked again later: for days, if need be."""
    media_id = sim.add_media(b"photo", "image/jpeg")
    sim.media.expiring = 2
    with pytest.raises(AttachmentError) as caught:
        await fetched(reach(), media_id)

    assert ("media_not_found", True) == (caught.value.code, caught.value.retryable)


async def test_file_that_is_gone(reach, sim, fetched):
    """What Meta no longer knows is lost, and said so."""
    media_id = sim.add_media(b"photo", "image/jpeg")
    sim.media.remove(media_id)
    with pytest.raises(AttachmentError) as caught:
        await fetched(reach(), media_id)

    assert ("100", False) == (caught.value.code, caught.value.retryable)


@pytest.mark.parametrize(
    "expected",
    [
        (404, "media_not_found", True),
        (410, "media_not_found", True),
        (403, "http_403", True),
        (302, "http_302", True),
        (500, "http_500", True),
    ],
)
async def test_download_refused(channel, answering, fetched, expected):
    """After asking for the address once more, the status decides."""
    status, *decided = expected
    asked = []

    async def handler(request):
        asked.append(request.path)
        if request.path.endswith("/123"):
            return web.json_response({"url": str(request.url.origin() / "file")})
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    made = channel(base_url=await answering(handler))
    with pytest.raises(AttachmentError) as caught:
        await fetched(made, "123")

    assert decided == [caught.value.code, caught.value.retryable]
    assert "/elsewhere" not in asked


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/file",
        "https://lookaside.fbsbx.com.evil.example/file",
        "https://xlookaside.fbsbx.com/file",
        "http://lookaside.fbsbx.com/file",
        "https://a:b@lookaside.fbsbx.com/file",
        "file:///etc/passwd",
        "http://127.0.0.1/file",
        "/file",
    ],
)
async def test_token_goes_to_metas_hosts_only(channel, answering, fetched, url):
    """Whatever address comes back, only a known host gets asked, under TLS."""

    async def handler(request):
        return web.json_response({"url": url})

    made = channel(
        base_url=await answering(handler), media_hosts=["lookaside.fbsbx.com"]
    )
    with pytest.raises(AttachmentError) as caught:
        await fetched(made, "123")

    assert ("media_host", False) == (caught.value.code, caught.value.retryable)


@pytest.mark.parametrize("answer", [{}, {"url": 3}, {"url": "http://[::1"}, []])
async def test_no_address_in_the_answer(channel, answering, fetched, answer):
    """An answer without an address is tried again."""

    async def handler(request):
        return web.json_response(answer)

    with pytest.raises(AttachmentError) as caught:
        await fetched(channel(base_url=await answering(handler)), "123")

    assert ("no_media_url", True) == (caught.value.code, caught.value.retryable)


async def test_locator_can_not_leave_its_place(reach, sim, fetched):
    """A media id that is none is never asked for."""
    with pytest.raises(AttachmentError) as caught:
        await fetched(reach(), "../me")

    assert ("bad_media_id", False) == (caught.value.code, caught.value.retryable)


async def test_broken_download_is_tried_again(channel, answering, fetched):
    """A file that breaks off half-way is not taken for whole."""

    async def handler(request):
        if request.path.endswith("/123"):
            return web.json_response({"url": str(request.url.origin() / "file")})
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        request.transport.close()
        return response

    with pytest.raises(AttachmentError) as caught:
        await fetched(channel(base_url=await answering(handler)), "123")

    assert ("interrupted", True) == (caught.value.code, caught.value.retryable)


async def test_check_asks_for_our_number(reach, sim):
    """The check connects, and sends nothing."""
    sim.webhook_url = "http://127.0.0.1:9/channels/whatsapp/webhook"
    health = await reach().check()

    assert HealthStatus.OK is health.status
    assert [] == sim.attempts


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"token": "another"}, "set a good one"),
        ({"phone_number_id": "999"}, "phone_number_id: an id names nothing"),
    ],
)
async def test_check_names_the_fault(reach, changes, text):
    """A wrong token or number is told before the start."""
    health = await reach(**changes).check()

    assert HealthStatus.DOWN is health.status
    assert text in health.text


async def test_check_of_nobody(channel):
    """Where nobody answers, the channel is down."""
    away = channel(base_url=f"http://127.0.0.1:{unused_port()}/v25.0")
    health = await away.check()

    assert HealthStatus.DOWN is health.status


async def test_health_recovers(reach, sim, outgoing):
    """The next send that works makes the channel well again."""
    channel = reach()
    sim.faults.append(Fault.http(502))
    with pytest.raises(DeliveryError):
        await channel.send(outgoing())
    await channel.send(outgoing())

    assert HealthStatus.OK is channel.health().status


async def test_errors_hold_no_personal_data(reach, sim, outgoing):
    """Neither number nor text nor token show in an error."""
    sim.faults.append(Fault.error(131009))
    with pytest.raises(DeliveryError) as caught:
        await reach().send(outgoing())

    shown = f"{caught.value!r} {reach().health()!r}"
    assert "393290000000" not in shown
    assert "URP-2026" not in shown
    assert "the-token" not in shown


@pytest.fixture
def enclosing(tmp_path, outgoing):
    """Make a delivery that is one file."""

    def make(content: bytes, media_type: str, name: str = "foto.jpg", **changes):
        path = tmp_path / "stored"
        path.write_bytes(content)
        enclosure = Enclosure(
            name=name,
            media_type=media_type,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            path=path,
        )
        return outgoing(text="", enclosures=(enclosure,), **changes)

    return make


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("image/jpeg", ("image", None)),
        ("audio/ogg", ("audio", None)),
        ("video/mp4", ("video", None)),
        ("application/pdf", ("document", "esito.pdf")),
    ],
)
async def test_file_is_uploaded_and_sent(reach, sim, enclosing, media_type, expected):
    """As what it is; a document under its name. Byte for byte."""
    receipt = await reach().send(enclosing(CONTENT, media_type, name="esito.pdf"))
    [sent] = await sim.wait_sent(1)

    assert expected == (sent.type, sent.filename)
    assert "wamid.abc" == sent.context_id
    assert sent.wamid == receipt.external_id
    assert CONTENT == sim.media.get(sent.media_id).content


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ((b"GIF89a", "image/gif"), "file_type"),
        ((b"x" * (5 * 2**20 + 1), "image/png"), "file_too_large"),
    ],
    ids=["type", "size"],
)
async def test_file_that_meta_does_not_take(reach, sim, enclosing, file, code):
    """Nothing is sent; staff see why."""
    with pytest.raises(DeliveryError) as caught:
        await reach().send(enclosing(*file))

    assert (code, False) == (caught.value.code, caught.value.retryable)
    assert [] == sim.attempts


@pytest.mark.parametrize("status", [500, 502, 429])
async def test_failed_upload_is_simply_repeated(answering, channel, enclosing, status):
    """Nobody saw the file, so the outcome is not unknown."""

    async def handler(request):
        await request.read()
        return web.Response(status=status, text="<html>")

    there = channel(base_url=await answering(handler))
    with pytest.raises(DeliveryError) as caught:
        await there.send(enclosing(CONTENT, "image/jpeg"))

    assert (True, False) == (caught.value.retryable, caught.value.unknown)


async def test_lost_answer_to_a_file_is_unknown(reach, sim, enclosing):
    """After the upload, it is as with a text."""
    sim.faults.append(Fault.dropped(accepted=True))
    with pytest.raises(DeliveryError) as caught:
        await reach().send(enclosing(CONTENT, "image/jpeg"))

    assert (True, True) == (caught.value.retryable, caught.value.unknown)
    assert 1 == len(sim.sent)


async def test_file_that_is_gone_is_tried_again(reach, enclosing):
    """A disk that is not mounted may come back."""
    outgoing = enclosing(CONTENT, "image/jpeg")
    outgoing.enclosures[0].path.unlink()
    with pytest.raises(DeliveryError) as caught:
        await reach().send(outgoing)

    assert ("enclosure_unreadable", True) == (
        caught.value.code,
        caught.value.retryable,
    )


TEMPLATES = {
    "answer": {"name": "risposta", "parameters": ["{number}", "{text}"]},
    "notice": {"name": "ricevuto"},
}


@pytest.fixture
def late(outgoing):
    """Make an answer to somebody who wrote two days ago."""

    def make(hours: float = 48, **changes):
        last = datetime.now(UTC) - timedelta(hours=hours)
        given = {"purpose": "answer", "case_number": "URP-2026-000123", **changes}
        return outgoing(last_inbound_at=last, **given)

    return make


async def test_template_after_24_hours(reach, sim, late):
    """Meta takes nothing else: number and text go into it, on one line."""
    there = reach(templates=TEMPLATES)
    receipt = await there.send(late(text="Risposta:\n\n\tRiparata.  Grazie"))
    [sent] = sim.sent

    assert ("template", "risposta") == (sent.type, sent.template)
    assert ("URP-2026-000123", "Risposta: Riparata. Grazie") == sent.parameters
    assert (sent.wamid, None) == (receipt.external_id, sent.context_id)


@pytest.mark.parametrize(
    ("hours", "kind"), [(0, "text"), (23.8, "text"), (23.95, "template")]
)
async def test_window_is_a_little_less_than_meta_says(reach, sim, late, hours, kind):
    """A text that takes a minute on its way must not come too late."""
    await reach(templates=TEMPLATES).send(late(hours))

    assert kind == sim.sent[0].type


async def test_template_without_places(reach, sim, late):
    """Some say the same to everybody."""
    await reach(templates=TEMPLATES).send(late(purpose="notice"))

    assert ("ricevuto", ()) == (sim.sent[0].template, sim.sent[0].parameters)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"purpose": "rejection"}, "needs_template"),
        ({"text": "x" * 1025}, "too_long_for_template"),
    ],
)
async def test_what_no_template_says_waits_for_staff(reach, sim, late, changes, code):
    """Nothing is sent, and the text says what to do about it."""
    with pytest.raises(DeliveryError) as caught:
        await reach(templates=TEMPLATES).send(late(**changes))

    assert (code, False) == (caught.value.code, caught.value.retryable)
    assert [] == sim.attempts


async def test_file_after_24_hours_waits_for_staff(reach, sim, enclosing):
    """It is not even uploaded."""
    last = datetime.now(UTC) - timedelta(hours=48)
    outgoing = enclosing(
        CONTENT, "image/jpeg", purpose="enclosure:0", last_inbound_at=last
    )
    with pytest.raises(DeliveryError, match="files and positions"):
        await reach(templates=TEMPLATES).send(outgoing)


async def test_meta_says_when_the_window_is_closed(reach, sim, late):
    """If its clock differs from ours, the template goes at once."""
    sim.faults.append(Fault.error(131047))
    await reach(templates=TEMPLATES).send(late(hours=1))

    assert ["template"] == [sent.type for sent in sim.sent]
