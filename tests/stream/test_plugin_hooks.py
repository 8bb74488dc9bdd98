"""What plugins say on each hook takes effect; the examples in the docs are used."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from small_city import small_city
from structlog.testing import capture_logs

from gateway import blocks, people
from gateway.errors import AttachmentError
from gateway.model import (
    Action,
    Address,
    Assignment,
    Contact,
    ContactId,
    Message,
    ServiceId,
    Verdict,
)
from gateway.plugin import Context, NoConfig, Plugin, hookimpl
from gateway.store import schema

DOCS = Path(__file__).parents[2] / "docs" / "developers.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def documented(tmp_path: Path):
    """Make the plugin of a class that the manual for developers shows."""

    def make(name: str) -> Plugin:
        blocks = re.findall(
            r"^```python\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE
        )
        (block,) = [each for each in blocks if f"class {name}(" in each]
        return getattr(_imported(tmp_path / "block.py", block), name)()

    return make


def _imported(file: Path, block: str) -> ModuleType:
    file.write_text(block)
    spec = importlib.util.spec_from_file_location("block", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Reader(Plugin[NoConfig]):
    """Sees what moderation and routing see; "viale Poetto" goes to Strade."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    @hookimpl
    async def moderate_message(self, message: Message) -> Verdict | None:
        self.seen.append(("moderate", message.text))
        if "molo" not in message.text:
            return None
        return Verdict(action=Action.HOLD, rule="r", reason="r", source="reader")

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        self.seen.append(("route", message.text))
        if "viale Poetto" not in message.text:
            return None
        return Assignment(service=ServiceId("strade"), reason="r", source="reader")


async def test_enriched_text_is_what_everybody_sees(tmp_path, documented):
    """Moderation, routing, the record and the office get it; the original stays."""
    reader = Reader()
    async with small_city(tmp_path, documented("PlacesPlugin"), reader) as city:
        await city.say(text="Una buca al Poetto")
        await city.settle()

        enriched = "Una buca al Poetto\n[viale Poetto]"
        assert [("moderate", enriched), ("route", enriched)] == reader.seen
        (handover,) = city.outside.handovers
        assert ("strade", enriched) == (handover.service, handover.message.text)
        (stored,) = [
            row for row in await city.rows(schema.message) if row.direction == "in"
        ]
        assert enriched == json.loads(stored.body)["text"]
        (original,) = await city.rows(schema.original)
        assert "Una buca al Poetto" == json.loads(original.body)["text"]


async def test_enriched_text_is_judged(tmp_path, documented):
    """A verdict on what was added holds the message."""
    async with small_city(tmp_path, documented("PlacesPlugin"), Reader()) as city:
        await city.say(text="Ci vediamo a su siccu")
        await city.settle()

        assert [] == city.outside.handovers
        assert ["held"] == [
            m.state for m in await city.rows(schema.message) if m.direction == "in"
        ]


async def test_enrichment_goes_from_plugin_to_plugin(tmp_path):
    """Each adds to what the one before it returned."""

    class Adds(Plugin[NoConfig]):
        def __init__(self, flag: str) -> None:
            self._flag = flag

        @hookimpl
        async def enrich_message(self, message: Message) -> Message:
            return replace(message, flags=(*message.flags, self._flag))

    async with small_city(tmp_path, Adds("one"), Adds("two")) as city:
        await city.say(text="ciao")
        await city.settle()

        assert ("one", "two") == city.outside.handovers[0].message.flags


REGISTER = {"phone:anna": "person-17", "phone:anna-work": "person-17"}


@pytest.fixture
def register(tmp_path: Path) -> str:
    """The configuration of a register that knows Anna's two telephones."""
    file = tmp_path / "register.json"
    file.write_text(json.dumps(REGISTER))
    return f'[plugins.plugin0]\nfile = "{file}"\n'


async def test_identified_person_is_one_contact(tmp_path, url, documented, register):
    """From either telephone Anna is one contact, in one conversation about one case."""
    plugin = documented("RegisterPlugin")
    async with small_city(tmp_path, plugin, url=url, gateway=register) as city:
        for sender in ("anna", "anna-work", "bea"):
            await city.say(sender=sender, text="una buca")
            await city.settle()

        numbers = [h.case.number[-6:] for h in city.outside.handovers]
        assert ["000001", "000001", "000002"] == numbers
        contacts = {row.id for row in await city.rows(schema.contact)}
        assert "person-17" in contacts
        assert 2 == len(contacts)
        addresses = {r.uri: r.contact_id for r in await city.rows(schema.address)}
        assert REGISTER == {u: c for u, c in addresses.items() if "anna" in u}


class Knows(Plugin[NoConfig]):
    """Says who writes, as it is told."""

    def __init__(self) -> None:
        self.answer: Contact | None = None

    @hookimpl
    async def identify_contact(self, message: Message) -> Contact | None:
        return self.answer


async def contacts_of_conversations(city) -> list[str]:
    return [
        row.contact_id
        for row in sorted(await city.rows(schema.conversation), key=lambda r: r.id)
    ]


async def test_answer_goes_before_a_known_address(tmp_path, url):
    """Who was known by the address is somebody else once a plugin says so."""
    knows = Knows()
    async with small_city(tmp_path, knows, url=url) as city:
        await city.say(sender="shared", text="una buca")
        await city.settle()
        knows.answer = Contact(id=ContactId("person-17"), name="Anna")
        await city.say(sender="shared", text="un lampione")
        await city.settle()

        first, second = await contacts_of_conversations(city)
        assert "person-17" == second
        names = {row.id: row.name for row in await city.rows(schema.contact)}
        assert {first: "", "person-17": "Anna"} == names
        assert 2 == len({h.case.number for h in city.outside.handovers})
        (address,) = await city.rows(schema.address)
        assert first == address.contact_id


async def test_answer_by_addresses_finds_whom_we_know(tmp_path, url):
    """An unknown id with a known address is the contact of that address."""
    knows = Knows()
    async with small_city(tmp_path, knows, url=url) as city:
        await city.say(sender="anna", text="una buca")
        await city.settle()
        knows.answer = Contact(
            id=ContactId("person-17"), addresses=(Address("phone", "anna"),)
        )
        await city.say(sender="anna-work", text="ancora la buca")
        await city.settle()

        (anna,) = await city.rows(schema.contact)
        assert [anna.id] == await contacts_of_conversations(city)
        uris = {row.uri for row in await city.rows(schema.address)}
        assert {"phone:anna", "phone:anna-work"} == uris


class Stops(Plugin[NoConfig]):
    """Notes the end of its work in a list shared with others, and may fail.

    Its judgement takes a while, so that a stop finds a message under way.
    """

    def __init__(self, name: str, ended: list[str], error: Exception | None = None):
        self._name = name
        self._ended = ended
        self._error = error
        self.asked = asyncio.Event()

    @hookimpl
    async def moderate_message(self, message: Message) -> None:
        self.asked.set()
        await asyncio.sleep(0.1)
        self._ended.append(f"{self._name} moderated")

    @hookimpl
    async def shutdown(self) -> None:
        self._ended.append(f"{self._name} stopped")
        if self._error is not None:
            raise self._error


async def test_shutdown_after_the_last_message_last_plugin_first(tmp_path):
    """At drain each plugin stops, though one fails: it is logged, without its text."""
    ended: list[str] = []
    plugins = [
        Stops("a", ended),
        Stops("b", ended, OSError("Anna Rossi")),
        Stops("c", ended),
    ]
    with capture_logs() as logs:
        async with small_city(tmp_path, *plugins) as city:
            await city.say(text="ciao")
            await plugins[-1].asked.wait()

    assert {"a moderated", "b moderated", "c moderated"} == set(ended[:3])
    assert ["c stopped", "b stopped", "a stopped"] == ended[3:]
    (failure,) = [log for log in logs if log["event"] == "plugin_failed"]
    assert ("plugin1", "shutdown", "raised OSError") == (
        failure["plugin"],
        failure["hook"],
        failure["reason"],
    )
    assert "Anna Rossi" not in str(logs)


async def test_shutdown_of_the_documented_plugin(tmp_path, documented, register):
    """What the example started at start-up has ended when the gateway has."""
    plugin = documented("RegisterPlugin")
    async with small_city(tmp_path, plugin, gateway=register):
        reading = plugin._reading
        assert not reading.done()

    assert reading.cancelled()


class Transcriber(Plugin[NoConfig]):
    """Reads a file, and adds what it says to the text."""

    @hookimpl
    async def enrich_message(
        self, context: Context[NoConfig], message: Message
    ) -> Message | None:
        files = [
            await context.files.fetch(message, each) for each in message.attachments
        ]
        said = [context.files.path(each).read_text() for each in files]
        text = " ".join([message.text, *said]).strip()
        return replace(message, text=text, attachments=tuple(files))


async def test_plugin_reads_a_file_before_anybody_judges(tmp_path, url):
    """What a recording says reaches the office with it, and it is fetched once."""
    async with small_city(tmp_path, Transcriber(), url=url) as city:
        city.outside.files = {"voice": [b"c'e una buca"]}
        await city.say(files=["voice"])
        await city.settle()

        (handover,) = city.outside.handovers
        assert "c'e una buca" == handover.message.text
        assert [12] == [file.size for file in handover.enclosures]
        assert {"voice": []} == city.outside.files


async def test_file_that_can_not_be_read_yet(tmp_path):
    """The message goes on without, flagged; the file follows as always."""
    async with small_city(tmp_path, Transcriber()) as city:
        busy = AttachmentError("busy", "no", retryable=True)
        city.outside.files = {"voice": [busy, b"c'e una buca"]}
        await city.say(text="senta", files=["voice"])
        await city.settle()

        (handover,) = city.outside.handovers
        assert "senta" == handover.message.text
        assert 1 == len(handover.enclosures)
        assert any("enrich" in flag for flag in handover.message.flags)


async def test_no_file_of_a_blocked_sender_is_fetched(tmp_path, url):
    """Not even for a plugin that wants to look into it."""
    async with small_city(tmp_path, Transcriber(), url=url) as city:
        await city.say(text="una buca")
        await city.settle()
        store = city.gateway.store
        anna = await store.read(lambda c: people.by_name(c, "phone:anna"))
        await store.run(lambda c: blocks.block(c, anna, "r", "staff"))
        await city.say(files=["voice"])
        await city.settle(waiting=1)

        (file,) = await city.rows(schema.attachment)
        assert ("lost", blocks.NOTE) == (file.state, file.note)
