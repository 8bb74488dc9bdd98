"""The citizen is played by requests, and by the program's own addresses."""

from __future__ import annotations

import socket
import subprocess
import sys

import aiohttp
import pytest
from gateway_whatsapp.simulator.payloads import value_of

TO = "393290000000"
PROGRAM = [sys.executable, "-m", "gateway_whatsapp.simulator"]
MENU = {
    "type": "list",
    "body": {"text": "Che cosa?"},
    "action": {
        "button": "Scegli",
        "sections": [{"rows": [{"id": "strade", "title": "Strade e buche"}]}],
    },
}


@pytest.fixture
def play(http, sim):
    """Post a form; return status and text."""

    async def post(route: str, data) -> tuple[int, str]:
        base = sim.base_url.removesuffix("/v25.0")
        async with http.post(f"{base}/simulator/{route}", data=data) as response:
            return response.status, await response.text()

    return post


def test_program_documents_every_route(sim):
    """Its help names each address that there is, and no other."""
    shown = subprocess.run(
        [*PROGRAM, "--help"], capture_output=True, text=True, check=True
    ).stdout
    routes = ("text", "image", "voice", "location", "choose", "read", "sent")

    assert [] == [name for name in routes if f"/simulator/{name}" not in shown]
    assert "default: 8089" in shown


def test_taken_port_is_told_in_a_line():
    """What is wrong, and what to do about it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ended = subprocess.run(
            [*PROGRAM, "--port", port], capture_output=True, text=True, check=False
        )

    [line] = ended.stderr.splitlines()
    assert (1, True, True) == (ended.returncode, port in line, "--port" in line)


async def test_voice_and_place(play, hook):
    """A voice message, and where the citizen is."""
    form = aiohttp.FormData({"from": TO})
    form.add_field("file", b"OggS", filename="a.ogg", content_type="audio/ogg")
    answers = [
        await play("voice", form),
        await play(
            "location",
            {"from": TO, "latitude": "39.2", "longitude": "9.1", "place": "Municipio"},
        ),
    ]
    voice, place = [value_of(each)["messages"][0] for each in hook.got]

    assert [(200, "accepted\n")] * 2 == answers
    assert voice["audio"]["voice"]
    assert {"latitude": 39.2, "longitude": 9.1, "name": "Municipio"} == place[
        "location"
    ]


@pytest.mark.parametrize("option", ["strade", "Strade e buche"])
async def test_choice_by_id_or_title(play, hook, send, sim, option):
    """From the last menu that was sent to the citizen."""
    sim.statuses = ()
    whole = {"messaging_product": "whatsapp", "to": TO}
    await send({**whole, "type": "interactive", "interactive": MENU})
    await send({**whole, "text": {"body": "Grazie"}})
    await play("choose", {"from": TO, "option": option})
    [said] = value_of(hook.got[0])["messages"]

    expected = {"id": "strade", "title": "Strade e buche"}
    assert expected == said["interactive"]["list_reply"]
    assert sim.sent[0].wamid == said["context"]["id"]


async def test_message_is_read(play, hook, send, sim):
    """The last one, or the one that is named."""
    sim.statuses = ()
    for body in ("Uno", "Due"):
        await send({"messaging_product": "whatsapp", "to": TO, "text": {"body": body}})
    first, last = sim.sent
    await play("read", {"from": TO})
    await play("read", {"from": TO, "wamid": first.wamid})
    told = [value_of(each)["statuses"][0] for each in hook.got]

    assert [(last.wamid, "read"), (first.wamid, "read")] == [
        (each["id"], each["status"]) for each in told
    ]


@pytest.mark.parametrize(
    ("route", "form", "text"),
    [
        ("text", {"from": TO}, "body: missing"),
        ("image", {"from": TO}, "file: missing"),
        ("location", {"from": TO, "latitude": "x"}, "latitude: degrees"),
        ("choose", {"from": TO, "option": "x"}, "no such message"),
        ("read", {"from": TO}, "no such message"),
    ],
)
async def test_wrong_form_is_told(play, route, form, text):
    """Which field is missing or wrong."""
    status, told = await play(route, form)

    assert (400, True) == (status, text in told)
