"""The story: a citizen writes, is asked, an office answers, all through Meta."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gateway_routing import RoutingPlugin
from gateway_whatsapp import WhatsAppPlugin
from gateway_whatsapp.simulator import CloudApiSimulator
from offices import Offices, answer

from gateway.model import Handover
from gateway.testing.kit import running

PHOTO = Path(__file__).parents[3] / "tests" / "attachments" / "data" / "exif.jpg"
CITIZEN = "393290000000"
TOML = """
[gateway]
name = "Prova"
plugins = ["whatsapp", "routing", "offices"]
default_service = "urp"
[store]
data = "{folder}"
[web]
port = 0
min_free_bytes = 0
[outbox]
backoff_seconds = 0.05
backoff_cap_seconds = 0.2
[pipeline]
poll_seconds = 0.05
[plugins.routing.question]
otherwise = "urp"
topics = [
  {{ service = "strade", title = "Strade e buche", description = "Lampioni" }},
  {{ service = "urp", title = "Altro" }},
]
[channels.whatsapp]
type = "whatsapp"
phone_number_id = "1122334455667"
token = {{ env = "TOKEN" }}
app_secrets = [{{ env = "SECRET" }}]
verify_token = {{ env = "SECRET" }}
base_url = "{base_url}"
media_hosts = ["127.0.0.1"]
[channels.desk]
type = "desk"
[services.urp]
name = "URP"
connectors = [{{ type = "office" }}]
[services.strade]
name = "Strade"
connectors = [{{ type = "office" }}]
"""


@dataclass
class Town:
    """A gateway between a simulated Meta and its offices."""

    gateway: Any
    meta: CloudApiSimulator
    offices: Offices

    async def say(self, payload: dict[str, Any]) -> None:
        """Let Meta tell what a citizen did."""
        assert 200 == (await self.meta.webhook(payload))[0]

    async def until(self, fulfilled: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(10):
            while not fulfilled():
                await asyncio.sleep(0.01)

    async def handed(self, count: int = 1) -> Handover:
        """Wait for the hand-over with that number."""
        await self.until(lambda: len(self.offices.got) >= count)
        return self.offices.got[count - 1]


@pytest.fixture
async def town(sim, tmp_path, monkeypatch) -> AsyncIterator[Town]:
    """A whole gateway in process."""
    monkeypatch.setenv("TOKEN", "the-token")
    monkeypatch.setenv("SECRET", "testappsecret")
    toml = TOML.format(folder=tmp_path, base_url=sim.base_url)
    offices = Offices()
    plugins = {
        "whatsapp": WhatsAppPlugin(),
        "routing": RoutingPlugin(),
        "offices": offices,
    }
    async with running(toml, tmp_path, plugins) as gateway:
        sim.webhook_url = f"http://127.0.0.1:{gateway.port}/channels/whatsapp/webhook"
        yield Town(gateway, sim, offices)


async def test_citizen_is_asked_and_answered(town: Town):
    """From "there is a problem" to text, photo and position of the office that it is.

    The answer quotes what the citizen wrote last, and marks it as read.
    """
    await town.say(town.meta.text(CITIZEN, "C'è un problema"))
    [asked] = await town.meta.wait_sent(1)
    rows = asked.menu
    assert ("interactive", ["Strade e buche", "Altro"]) == (
        asked.type,
        [title for _, title in rows],
    )
    await town.say(town.meta.choose(CITIZEN, asked, rows[0][0]))
    handover = await town.handed()
    assert ("strade", "C'è un problema") == (handover.service, handover.message.text)

    town.offices.files["a"] = PHOTO.read_bytes()
    place = {"latitude": 39.2, "longitude": 9.1, "name": "Via Dante"}
    text = "*Riparata* \N{THUMBS UP SIGN}"
    await answer(town.gateway, handover, text, files=["a"], location=place)
    _, settled, said, where, photo = await town.meta.wait_sent(5)

    assert "Strade" in settled.text
    assert text in said.text
    assert ("text", "location", "image") == (said.type, where.type, photo.type)
    assert [said.context_id] == [mark.message_id for mark in town.meta.read_marks]
    assert ["URP"] == [row[:3] for row in [handover.case.number]]
