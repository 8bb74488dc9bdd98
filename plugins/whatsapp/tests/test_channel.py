"""The webhook through the gateway's own web app, into its own inbox."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from gateway_whatsapp.signature import HEADER, sign
from structlog.testing import capture_logs
from yarl import URL

from gateway import inbox as gateway_inbox
from gateway.errors import StoreFull, StoreUnavailable
from gateway.model import HealthStatus, Semantics
from gateway.store import schema

SECRET = b"testappsecret"
TEXT = "inbound/pywa_message__text.json"
STATUS = "inbound/pywa_message_status__sent.json"
TOKEN = "parola d'ordine"


@pytest.fixture
async def http():
    """A client of the test's own."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def post(http):
    """Post raw bytes, signed unless told otherwise; return status and text."""

    async def send(url, body: bytes, **headers) -> tuple[int, str]:
        headers = {HEADER: sign(body, SECRET), **headers}
        kept = {name: value for name, value in headers.items() if value is not None}
        async with http.post(url, data=body, headers=kept) as response:
            return response.status, await response.text()

    return send


@pytest.fixture
def served(channel, serve):
    """Serve a channel that only remembers; return the webhook's address."""

    async def start(max_body_bytes: int = 3_000_000, **changes) -> str:
        return await serve(channel(**changes), max_body_bytes)

    return start


@pytest.fixture
def body(fixture) -> bytes:
    """A text message."""
    return json.dumps(fixture(TEXT)).encode()


async def ids(store) -> list[str]:
    """Return the external ids in the inbox."""
    table = schema.inbox
    found = await store.read(
        lambda connection: connection.execute(table.select()).all()
    )
    return sorted(row.external_id for row in found)


async def events(store) -> list[str]:
    """Return what was put on the record, in its order."""
    table = schema.event
    found = await store.read(lambda c: c.execute(table.select()).all())
    return [row.action for row in sorted(found, key=lambda row: row.seq)]


async def test_stored_before_acknowledged(channel, real, post, body, store):
    """When Meta gets its 200, the raw original is in the database."""
    answer = await post(real, body)
    [row] = await store.read(lambda c: c.execute(schema.inbox.select()).all())
    [inbound] = await store.read(lambda c: gateway_inbox.load(c, [row.id]))

    assert (200, "accepted\n") == answer
    assert body == inbound.original.body
    assert sign(body, SECRET) == inbound.original.headers[HEADER]
    assert "Body Text" == channel().parse(inbound).text


async def test_same_webhook_twice_is_one_message(real, post, body, store):
    """Meta repeats what it is not sure of: one row, two times 200."""
    answers = [await post(real, body), await post(real, body)]

    assert [(200, "accepted\n")] * 2 == answers
    assert ["wamid.xyzxyz"] == await ids(store)


async def test_same_message_twice_in_one_webhook(real, post, fixture, store):
    """The same id twice in one body is one row, too."""
    payload = fixture(TEXT)
    payload["entry"] *= 2
    answer = await post(real, json.dumps(payload).encode())

    assert (200, "accepted\n") == answer
    assert ["wamid.xyzxyz"] == await ids(store)


async def test_other_words_under_a_known_id(real, post, fixture, store):
    """Batched anew it is the same message; with other words both are kept."""
    payload = fixture(TEXT)
    await post(real, json.dumps(payload).encode())
    for entry in fixture(STATUS)["entry"]:
        payload["entry"].insert(0, entry)
    await post(real, json.dumps(payload).encode())
    before = await events(store)

    payload["entry"][-1]["changes"][0]["value"]["messages"][0]["text"]["body"] += "!"
    answer = await post(real, json.dumps(payload).encode())

    assert (200, "accepted\n") == answer
    assert ["inbox.accepted"] * 2 == before
    assert [*before, "inbox.conflict"] == await events(store)


async def test_poison_is_stored(real, post, store):
    """What is signed and unreadable is kept, and acknowledged."""
    answer = await post(real, b'{"object":\xff')
    [found] = await ids(store)

    assert (200, "accepted\n") == answer
    assert found.startswith("poison:")


@pytest.mark.parametrize(
    "header", [None, "", "sha256=00", "sha1=aa", sign(b"other", SECRET), "sha256=\xe8"]
)
async def test_bad_signature_stores_nothing(served, post, body, inbox, header):
    """Without Meta's signature: 401, and nothing is stored."""
    url = await served()
    status, _ = await post(url, body, **{HEADER: header})

    assert 401 == status
    assert [] == inbox.calls


async def test_both_secrets_are_good_while_they_change(served, post, body, inbox):
    """With two secrets configured, either signs."""
    url = await served(app_secrets=["the-new-one", "testappsecret"])
    answers = [
        await post(url, body),
        await post(url, body, **{HEADER: sign(body, b"the-new-one")}),
    ]

    assert [(200, "accepted\n")] * 2 == answers
    assert 2 == len(inbox.calls)


async def test_signed_by_nobodys_secret(served, post, body):
    """A secret that is no longer configured does not sign."""
    url = await served(app_secrets=["the-new-one"])

    assert 401 == (await post(url, body))[0]


async def test_not_for_us(served, post, body, inbox):
    """Another number's message is acknowledged with a reason, and not stored."""
    url = await served(phone_number_id="999")

    assert (200, "ignored: other phone_number_id\n") == await post(url, body)
    assert [] == inbox.calls


@pytest.mark.parametrize("failure", [StoreFull("full"), StoreUnavailable("away")])
async def test_no_room_is_no_acknowledgement(served, post, body, inbox, failure):
    """If it can't be stored, Meta is asked to come again."""
    inbox.failure = failure
    status, _ = await post(await served(), body)

    assert 503 == status


async def test_too_large_is_refused(served, post, body):
    """A body over the limit is refused unread."""
    url = await served(max_body_bytes=100)

    assert 413 == (await post(url, body))[0]


async def test_broken_chunk_is_refused(served, body, inbox):
    """A body whose framing breaks off is a client's fault, not ours."""
    url = URL(await served())
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {url.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + b"5\r\nhello\r\nzz\r\n")
    await writer.drain()
    line = await reader.readline()
    writer.close()

    assert b" 400 " in line
    assert [] == inbox.calls


async def handshake(http, url, **changes) -> tuple[int, str, str]:
    """Ask as Meta does when the webhook is registered."""
    asked = {"mode": "subscribe", "verify_token": TOKEN, "challenge": "1158201444"}
    query = {f"hub.{key}": value for key, value in {**asked, **changes}.items()}
    async with http.get(url, params=query) as response:
        return response.status, await response.text(), response.content_type


async def test_handshake(served, http):
    """Who knows the word gets the challenge back, as plain text."""
    answer = await handshake(http, await served())

    assert (200, "1158201444", "text/plain") == answer


@pytest.mark.parametrize(
    "changes",
    [
        {"verify_token": "wrong"},
        {"verify_token": ""},
        {"verify_token": "parola d'ordinè"},
        {"mode": "unsubscribe"},
        {"challenge": "<script>alert(1)</script>"},
        {"challenge": ""},
        {"challenge": "x" * 257},
    ],
    ids=str,
)
async def test_handshake_refused(served, http, changes):
    """Who does not know the word, or wants something else echoed, gets 403."""
    status, text, _ = await handshake(http, await served(), **changes)

    assert 403 == status
    assert "1158201444" not in text
    assert "<script>" not in text


async def test_whole_webhook_from_the_simulator(served, sim, inbox):
    """Text, image, voice and position of the simulator come in as they should."""
    sim.webhook_url = await served()
    photo = sim.add_media(b"\xff\xd8", "image/jpeg")
    note = sim.add_media(b"OggS", "audio/ogg; codecs=opus")
    said = [
        sim.text("393290000000", "C'è una buca / via Roma", user_id=""),
        sim.image("393290000000", photo, "Eccola", user_id=""),
        sim.voice("393290000000", note, user_id="IT.1234"),
        sim.location("393290000001", 39.2, 9.1, place="Piazza", address="via Roma"),
    ]
    answers = [await sim.webhook(payload) for payload in said]

    assert [(200, "accepted\n")] * 4 == answers
    assert [
        "whatsapp:393290000000",
        "whatsapp:IT.1234",
        "whatsapp:IT.393290000001",
    ] == sorted({item.sender for _, items, _ in inbox.calls for item in items})


def test_channel_is_blind(channel):
    """A repetition is recognisable only, and waited for first."""
    made = channel()

    assert (Semantics.BLIND, 60.0) == (made.semantics, made.grace_seconds)


def test_health_before_anything_happened(channel):
    """A channel that has not talked to Meta yet is well."""
    assert HealthStatus.OK is channel().health().status


async def test_wrong_secret_is_seen(channel, serve, post, body):
    """Health and log say so, the log once in a while; a good signature ends it."""
    made = channel()
    url = await serve(made)
    with capture_logs() as logs:
        for _ in range(3):
            await post(url, body, **{HEADER: sign(body, b"another")})
        refused = made.health()
        await post(url, body)

    assert HealthStatus.DEGRADED == refused.status
    assert "app_secrets" in refused.text
    assert HealthStatus.OK == made.health().status
    events = [log["event"] for log in logs]
    assert 1 == events.count("signature_refused")
