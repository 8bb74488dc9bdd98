"""The simulator fails as it is told to, at every stage, once each."""

from __future__ import annotations

import asyncio
import hashlib
import time

import aiohttp
import pytest
from gateway_whatsapp.simulator import Fault, Statuses
from gateway_whatsapp.simulator.payloads import value_of

NUMBER, TO = "1122334455667", "393290000000"
TEXT = {"messaging_product": "whatsapp", "to": TO, "text": {"body": "Grazie"}}
CONTENT = b"0123456789" * 20_000


@pytest.fixture
def photo(sim) -> str:
    """A file of a citizen's."""
    return sim.add_media(CONTENT, "image/jpeg")


@pytest.fixture
def download(http, sim, photo):
    """Ask where the file is, then for it."""

    async def get() -> tuple[int, bytes]:
        async with http.get(f"{sim.base_url}/{photo}") as response:
            metadata = await response.json()
        async with http.get(metadata["url"]) as response:
            return response.status, await response.read()

    return get


@pytest.fixture
def upload(http, sim):
    """Upload a file as the gateway does."""

    async def post() -> tuple[int, dict]:
        form = aiohttp.FormData({"messaging_product": "whatsapp", "type": "image/png"})
        form.add_field("file", b"png", filename="a.png", content_type="image/png")
        async with http.post(f"{sim.base_url}/{NUMBER}/media", data=form) as response:
            return response.status, await response.json(content_type=None)

    return post


async def test_metadata_fails(ask, sim, photo):
    """In Meta's shape, or as a server in between; then it is told."""
    sim.faults.media.extend([Fault.error(131000, status=500), Fault.error(4)])
    answers = [(await ask("GET", photo))[0] for _ in range(3)]

    assert [500, 400, 200] == answers


async def test_address_has_expired(sim, download):
    """The next address is a new one."""
    sim.faults.media.append(Fault.expired())

    assert 404 == (await download())[0]
    assert (200, CONTENT) == await download()


async def test_file_breaks_off(sim, download):
    """After so many bytes; then it comes whole."""
    sim.faults.download.append(Fault.cut(100_000))
    with pytest.raises(aiohttp.ClientPayloadError):
        await download()

    assert (200, CONTENT) == await download()


async def test_file_has_other_bytes(sim, download):
    """As many, but with another digest."""
    sim.faults.download.append(Fault.other_bytes())
    status, content = await download()

    assert (200, len(CONTENT)) == (status, len(content))
    assert hashlib.sha256(CONTENT).digest() != hashlib.sha256(content).digest()


async def test_file_comes_slowly(sim, download):
    """Whole, but late."""
    sim.faults.download.append(Fault.slow(0.05))
    before = time.monotonic()

    assert (200, CONTENT) == await download()
    assert 0.1 <= time.monotonic() - before


async def test_file_is_refused(sim, download):
    """With a bare HTTP status."""
    sim.faults.download.append(Fault.http(503))

    assert 503 == (await download())[0]


async def test_upload_fails(sim, upload):
    """As any request, before or after the file is kept."""
    sim.faults.upload.extend([Fault.error(131053), Fault.http(502, accepted=True)])
    first, _ = await upload()
    second = await _status_of(upload)
    third, told = await upload()

    assert (400, 200) == (first, third)
    assert second is None
    assert b"png" == sim.media.get(told["id"]).content


async def _status_of(upload) -> int | None:
    try:
        return (await upload())[0]
    except ValueError:  # an error page is no JSON
        return None


async def test_uploaded_file_can_be_deleted(ask, upload):
    """And is gone then."""
    _, told = await upload()

    assert (200, {"success": True}) == await ask("DELETE", told["id"])
    assert [400, 400] == [(await ask(m, told["id"]))[0] for m in ("DELETE", "GET")]


async def heard(send, sim, hook, how: Statuses) -> list[str]:
    """Send a message whose statuses come so; return what came, in order."""
    sim.faults.status.append(how)
    await send(TEXT)
    await sim.settled()
    return [value_of(each)["statuses"][0]["status"] for each in hook.got]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Statuses(), ["sent", "delivered"]),
        (Statuses(order=("read", "sent")), ["read", "sent"]),
        (Statuses(times=2), ["sent", "sent", "delivered", "delivered"]),
        (Statuses(order=()), []),
        (Statuses(lost=1), ["sent", "delivered"]),
        (Statuses(order=("failed",), code=131026), ["failed"]),
    ],
    ids=repr,
)
async def test_statuses_come_as_told(send, sim, hook, how, expected):
    """Of one message; those of the next are as usual."""
    assert expected == await heard(send, sim, hook, how)
    hook.got.clear()
    assert ["sent", "delivered"] == await heard(send, sim, hook, Statuses())


async def test_status_comes_before_the_answer(send, sim, hook):
    """Whoever has sent knows less than the webhook."""
    sim.faults.status.append(Statuses(order=("delivered",), early=True))
    await send(TEXT)

    assert 1 == len(hook.got)


async def test_status_comes_late(send, sim, hook):
    """Not before its time."""
    sim.faults.status.append(Statuses(seconds=0.05))
    await send(TEXT)
    await asyncio.sleep(0.01)
    before = len(hook.got)
    await sim.settled()

    assert (0, 2) == (before, len(hook.got))


async def test_failed_status_tells_its_code(send, sim, hook):
    """As Meta's own example of one."""
    await heard(send, sim, hook, Statuses(order=("failed",), code=131026))
    [status] = value_of(hook.got[0])["statuses"]

    assert 131026 == status["errors"][0]["code"]


async def test_webhook_is_cut(sim, hook):
    """The other side gets half a body and no more."""
    await sim.cut(sim.text(TO, "Buongiorno"))
    await asyncio.sleep(0.05)

    assert [] == hook.got


async def test_batch_keeps_all(sim, hook):
    """Messages and statuses, in entries by account and changes."""
    said = [sim.text(TO, "Uno"), sim.location(TO, 39.2, 9.1), sim.text(TO, "Due")]
    await sim.webhook(sim.batch(said))
    [body] = hook.got

    changes = [c["value"]["messages"][0] for e in body["entry"] for c in e["changes"]]
    assert {value_of(each)["messages"][0]["id"] for each in said} == {
        each["id"] for each in changes
    }


async def test_message_has_a_user_id(sim):
    """Made of the number, another, none, or nothing but one."""
    said = [
        sim.text(TO, "x"),
        sim.text(TO, "x", user_id="IT.abc"),
        sim.text(TO, "x", user_id=""),
        sim.text("IT.abc", "x"),
    ]
    ids = [
        (m.get("from"), m.get("from_user_id"))
        for m in (value_of(each)["messages"][0] for each in said)
    ]

    assert [(TO, f"IT.{TO}"), (TO, "IT.abc"), (TO, None), (None, "IT.abc")] == ids
    contacts = [value_of(each)["contacts"][0] for each in said]
    assert ids == [(c.get("wa_id"), c.get("user_id")) for c in contacts]


async def test_number_is_told_where_it_is_known(send, sim, hook):
    """Whoever wrote with both ids is known by either."""
    await sim.webhook(sim.text(TO, "Buongiorno"))
    for person in ({"recipient": f"IT.{TO}"}, {"to": TO}, {"recipient": "IT.abc"}):
        whole = {"messaging_product": "whatsapp", "text": {"body": "x"}}
        await send({**whole, **person})

    assert [TO, TO, ""] == [sent.number for sent in sim.sent]


async def test_choice_must_be_one(send, sim):
    """A citizen can choose only what was offered."""
    await send(TEXT)
    with pytest.raises(ValueError, match="there are none"):
        sim.choose(TO, sim.sent[0], "strade")
