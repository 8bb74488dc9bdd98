"""The simulator: as strict as Meta, and as faulty as it is told to be."""

from __future__ import annotations

import contextlib
import json
import re

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from gateway_whatsapp.simulator import CloudApiSimulator, Fault
from gateway_whatsapp.simulator.payloads import encode, value_of

from gateway.testing.kit import ManualClock

NUMBER = "1122334455667"
TO = "393290000000"
TEXT = {"messaging_product": "whatsapp", "to": TO, "text": {"body": "Grazie"}}
IMAGE = {"messaging_product": "whatsapp", "to": TO, "type": "image"}


async def test_text_is_taken(send, sim):
    """A right request is answered as in Meta's schema, and in the ledger."""
    status, answer = await send(TEXT)
    [sent] = sim.sent

    assert 200 == status
    assert {
        "messaging_product": "whatsapp",
        "contacts": [{"input": TO, "wa_id": TO}],
        "messages": [{"id": sent.wamid}],
    } == answer
    assert (TO, "text", "Grazie") == (sent.to, sent.type, sent.text)


async def test_number_may_be_written_by_people(send, sim):
    """Meta takes plus, spaces and dashes, and answers with the canonical id."""
    _, answer = await send({**TEXT, "to": "+39 329-000 0000"})

    assert [{"input": "+39 329-000 0000", "wa_id": TO}] == answer["contacts"]
    assert TO == sim.sent[0].to


def _medium(sim, body) -> str:
    """Return a file of the right kind for one of Meta's examples."""
    types = {"audio": "audio/ogg", "document": "application/pdf", "video": "video/mp4"}
    types |= {"image": "image/png", "sticker": "image/webp"}
    return sim.add_media(b"x", types.get(body.get("type"), "image/png"))


async def test_every_published_request_is_taken(send, fixture, sim, hook):
    """Meta's own examples are right requests, but for one that lacks its type."""
    examples = fixture("requests/meta_examples.json")
    sim.statuses = ()
    said = sim.text(TO, "Buongiorno")
    marked = examples["Send typing indicator and read receipt"]["message_id"]
    value_of(said)["messages"][0]["id"] = marked
    await sim.webhook(said)
    answers = {}
    for name, body in examples.items():
        text = re.sub(r"\{\{[A-Za-z-]+\}\}", TO, json.dumps(body))
        text = re.sub("<[A-Z]+_OBJECT_ID>", _medium(sim, body), text)
        answers[name], _ = await send(json.loads(text))
    expected = {**dict.fromkeys(examples, 200), "Send Reply to List Message": 400}

    assert expected == answers


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**TEXT, "messaging_product": "sms"}, 131009),
        ({"to": TO, "text": {"body": "x"}}, 131008),
        ({"messaging_product": "whatsapp", "text": {"body": "x"}}, 131008),
        ({**TEXT, "to": 393290000000}, 131009),
        ({**TEXT, "to": "nobody"}, 131009),
        ({**TEXT, "to": None, "recipient": "39329"}, 131009),
        ({**TEXT, "text": {}}, 131008),
        ({**TEXT, "text": {"body": ""}}, 131009),
        ({**TEXT, "text": {"body": "x" * 4097}}, 100),
        ({**TEXT, "text": {"body": "x", "colour": "red"}}, 100),
        ({**TEXT, "colour": "red"}, 100),
        ({**TEXT, "type": "telepathy"}, 131051),
        ({**TEXT, "type": "image"}, 131008),
        ({**IMAGE, "image": {}}, 131008),
        ({**IMAGE, "image": {"id": "1", "link": "https://x"}}, 131008),
        ({**IMAGE, "image": {"id": "1", "colour": "red"}}, 100),
        ({**IMAGE, "image": {"id": "1", "caption": "x" * 1025}}, 100),
        ({**IMAGE, "image": {"id": "12345"}}, 100),
        ({**TEXT, "biz_opaque_callback_data": "x" * 513}, 100),
        ({**TEXT, "context": {}}, 131008),
        ([], 100),
        ("text", 100),
    ],
    ids=lambda value: str(value)[-60:],
)
async def test_wrong_request_is_refused(send, sim, body, code):
    """What Meta refuses is refused with its code, in its shape, and not sent."""
    status, answer = await send(body)

    assert (400, code) == (status, answer["error"]["code"])
    assert {"message", "type", "code", "error_data", "fbtrace_id"} == set(
        answer["error"]
    )
    assert ([], 1) == (sim.sent, len(sim.attempts))


async def test_unknown_number(send):
    """Another number's id names nothing."""
    status, answer = await send(TEXT, number="999")

    assert (400, 100, 33) == (
        status,
        answer["error"]["code"],
        answer["error"]["error_subcode"],
    )


async def test_wrong_token(sim):
    """Without the token nothing works."""
    url = f"{sim.base_url}/{NUMBER}/messages"
    async with aiohttp.ClientSession() as http, http.post(url, json=TEXT) as response:
        answer = await response.json()

    assert (401, 190) == (response.status, answer["error"]["code"])


async def test_read_mark_is_taken(send, sim, hook):
    """Marking a citizen's message as read sends nothing, and may show us typing."""
    said = sim.text(TO, "Buongiorno")
    await sim.webhook(said)
    wamid = value_of(said)["messages"][0]["id"]
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid}

    assert (200, {"success": True}) == await send(body)
    assert (200, {"success": True}) == await send(
        {**body, "typing_indicator": {"type": "text"}}
    )
    assert [] == sim.sent
    assert [(wamid, False), (wamid, True)] == [
        (mark.message_id, mark.typing) for mark in sim.read_marks
    ]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, 131009),
        ({"message_id": ""}, 131009),
        ({"status": "delivered"}, 131009),
        ({"typing_indicator": {}}, 131008),
        ({"typing_indicator": {"type": "audio"}}, 131009),
        ({"to": TO}, 100),
    ],
)
async def test_wrong_read_mark_is_refused(send, sim, more, code):
    """Only what a citizen has sent can be marked."""
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}
    status, answer = await send({**body, **more})

    assert (400, code, []) == (status, answer["error"]["code"], sim.read_marks)


async def test_faults_come_in_order(send, sim):
    """Each scripted fault meets one attempt; then all is well."""
    sim.faults.extend([Fault.error(131047), Fault.http(429, retry_after=3)])
    first = await send(TEXT)
    async with aiohttp.ClientSession() as http:
        url = f"{sim.base_url}/{NUMBER}/messages"
        headers = {"Authorization": "Bearer the-token"}
        async with http.post(url, json=TEXT, headers=headers) as second:
            pause = second.headers["Retry-After"]
    third = await send(TEXT)

    assert (400, 131047) == (first[0], first[1]["error"]["code"])
    assert (429, "3") == (second.status, pause)
    assert 200 == third[0]
    assert [
        "not accepted: an error in Meta's shape",
        "not accepted: an error page of a server in between",
        "accepted",
    ] == [attempt.outcome for attempt in sim.attempts]


async def test_file_needs_the_token(http, sim):
    """The file's address alone is not enough."""
    media_id = sim.add_media(b"photo", "image/jpeg")
    async with http.get(f"{sim.base_url}/{media_id}") as response:
        metadata = await response.json()
    async with aiohttp.ClientSession() as stranger:
        refused = await stranger.get(metadata["url"])
    async with http.get(metadata["url"]) as response:
        content = await response.read()

    assert ("5", 401, b"photo") == (metadata["file_size"], refused.status, content)


async def test_file_is_our_numbers_only(http, sim):
    """Asked for on behalf of another number, a file does not exist."""
    media_id = sim.add_media(b"photo", "image/jpeg")
    url = f"{sim.base_url}/{media_id}?phone_number_id=999"
    async with http.get(url) as response:
        answer = await response.json()

    assert 100 == answer["error"]["code"]


async def test_statuses_are_repeated_until_acknowledged(send, sim, hook):
    """Like Meta, the simulator comes again with what was not answered by 200."""
    hook.refusals = 2
    await send({**TEXT, "biz_opaque_callback_data": "ours"})
    await sim.settled()
    statuses = [value_of(each)["statuses"][0] for each in hook.got]

    assert [("sent", "ours"), ("delivered", "ours")] == [
        (each["status"], each["biz_opaque_callback_data"]) for each in statuses
    ]


async def test_failed_status_has_its_code(send, sim, hook):
    """A status may be made by hand: failed, with one of Meta's codes."""
    sim.statuses = ()
    await send(TEXT)
    answer = await sim.webhook(sim.status(sim.sent[0], "failed", 131026))
    [status] = value_of(hook.got[0])["statuses"]

    assert (200, "accepted\n") == answer
    assert ("failed", 131026) == (status["status"], status["errors"][0]["code"])


async def test_wait_sent_says_what_is_missing(sim):
    """Who waits in vain is told how many came."""
    with pytest.raises(TimeoutError, match="0 of 1 messages"):
        await sim.wait_sent(1, timeout=0.01)


async def test_citizen_can_be_played(http, sim, hook):
    """By curl: a text, a picture, and what the gateway sent."""
    base = sim.base_url.removesuffix("/v25.0")
    text = {"from": TO, "body": "Buongiorno", "name": "Efisio"}
    async with http.post(f"{base}/simulator/text", data=text) as response:
        said = (response.status, await response.text())
    form = aiohttp.FormData({"from": TO, "caption": "Una buca"})
    form.add_field("file", b"\xff\xd8", filename="a.jpg", content_type="image/jpeg")
    async with http.post(f"{base}/simulator/image", data=form) as response:
        shown = response.status
    async with http.post(f"{base}/simulator/text", data={}) as response:
        refused = response.status
    async with http.get(f"{base}/simulator/sent") as response:
        sent = await response.json()

    assert ((200, "accepted\n"), 200, 400, []) == (said, shown, refused, sent)
    assert ["text", "image"] == [value_of(e)["messages"][0]["type"] for e in hook.got]
    assert "Efisio" == value_of(hook.got[0])["contacts"][0]["profile"]["name"]


async def test_nobody_to_play_with(http, sim):
    """Without a gateway the citizen is told so."""
    base = sim.base_url.removesuffix("/v25.0")
    statuses = []
    for sim.webhook_url in (None, f"http://127.0.0.1:{unused_port()}/hook"):
        data = {"from": TO, "body": "Buongiorno"}
        async with http.post(f"{base}/simulator/text", data=data) as response:
            statuses.append(response.status)

    assert [502, 502] == statuses


def test_webhook_is_encoded_as_meta_does():
    """Non-ASCII letters and slashes are escaped: who re-serialises fails."""
    assert rb'{"a":"\u00e4\/"}' == encode({"a": "ä/"})


async def test_webhook_address_must_be_known(sim):
    """Without an address there is nobody to tell."""
    with pytest.raises(ValueError, match="set webhook_url first"):
        await sim.webhook(sim.text(TO, "Buongiorno"))


def test_file_must_be_added_first(sim):
    """A file that Meta does not have can't be sent."""
    with pytest.raises(ValueError, match="add_media"):
        sim.image(TO, "0")


async def test_file_of_another_kind_is_refused(send, sim):
    """A document can't be sent as an image."""
    media_id = sim.add_media(b"%PDF", "application/pdf")

    status, answer = await send({**IMAGE, "image": {"id": media_id}})

    assert (400, 131053) == (status, answer["error"]["code"])


@pytest.fixture
async def strict(sim):
    """A simulator that knows windows and templates, and how to ask it."""
    clock = ManualClock()
    async with (
        CloudApiSimulator(
            app_secret="s",
            token="the-token",
            phone_number_id="106540352242922",
            clock=clock,
            windows=True,
            templates={("risposta", "it"): 1},
        ) as made,
        aiohttp.ClientSession() as http,
    ):
        url = f"{made.base_url}/106540352242922/messages"
        headers = {"Authorization": "Bearer the-token"}

        async def send(body):
            async with http.post(url, json=body, headers=headers) as response:
                answer = await response.json()
                return answer.get("error", {}).get("code", response.status)

        yield made, clock, send


async def test_window_closes_after_24_hours(strict):
    """It opens with a message of the citizen's, for a day."""
    made, clock, send = strict
    assert 131047 == await send(TEXT)
    made.webhook_url = f"http://127.0.0.1:{unused_port()}/hook"
    with contextlib.suppress(aiohttp.ClientError):
        await made.webhook(made.text(TO, "Buongiorno"))
    assert 200 == await send(TEXT)
    clock.advance(24 * 3600)
    assert 131047 == await send(TEXT)


def template(name="risposta", code="it", *texts):
    """Return a request for a template."""
    parameters = [{"type": "text", "text": text} for text in texts]
    said = {"name": name, "language": {"code": code}}
    said["components"] = [{"type": "body", "parameters": parameters}]
    return {**IMAGE, "type": "template", "template": said}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (template("risposta", "it", "Riparata."), 200),
        (template("altro", "it", "x"), 132001),
        (template("risposta", "en", "x"), 132001),
        (template("risposta", "it"), 132000),
        (template("risposta", "it", "a\nb"), 100),
        ({**IMAGE, "type": "template", "template": {"name": "risposta"}}, 131008),
    ],
)
async def test_templates_are_checked(strict, body, answer):
    """Name, language, number of parameters, and what may stand in one."""
    _, _, send = strict

    assert answer == await send(body)
