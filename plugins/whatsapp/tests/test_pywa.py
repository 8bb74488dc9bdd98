"""A second look from outside: pywa reads what we read, and is served by our simulator.

Where its reading differs from ours, the vendor's schema decides; each such difference
is named below.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_whatsapp.split import split
from pywa import WhatsApp, types
from pywa.errors import WhatsAppError
from pywa.types.templates import TemplateLanguage

from gateway.model import Amendment, Message, Receipt

INBOUND = Path(__file__).parent / "fixtures" / "inbound"
NUMBER = "1122334455667"
TO = "393290000000"
PNG = bytes.fromhex("89504e470d0a1a0a") + b"pixels"


class Outside:
    """pywa, pointed at a server of ours, and the updates it has read."""

    def __init__(self, base_url: str) -> None:
        self.session = httpx.Client()
        self.pywa = WhatsApp(
            phone_id=NUMBER,
            token="the-token",
            session=self.session,
            server=None,
            filter_updates=False,
            validate_updates=False,
            skip_duplicate_updates=False,
        )
        self.session.base_url = base_url
        self.read: list[Any] = []
        for listen in (
            self.pywa.on_message,
            self.pywa.on_message_status,
            self.pywa.on_callback_button,
            self.pywa.on_callback_selection,
            self.pywa.on_edited_message,
            self.pywa.on_deleted_message,
        ):
            listen(self._note)

    def _note(self, _: WhatsApp, update: Any) -> None:
        self.read.append(update)

    def take(self, body: bytes) -> Any:
        """Return what pywa makes of a webhook with one part."""
        before = len(self.read)
        self.pywa.webhook_update_handler(body)
        assert before + 1 == len(self.read), "pywa did not read it"
        return self.read[-1]


@pytest.fixture
def outside(sim) -> Iterator[Outside]:
    made = Outside(sim.base_url)
    yield made
    made.session.close()


@pytest.fixture
async def listening(sim, outside: Outside) -> AsyncIterator[None]:
    """Let the simulator's webhooks go to pywa."""

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        await asyncio.to_thread(outside.take, body)
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    server = TestServer(app)
    await server.start_server()
    sim.webhook_url = str(server.make_url("/hook"))
    yield
    await server.close()


SENDS: dict[str, Callable[[WhatsApp], Any]] = {
    "text": lambda w: w.send_message(TO, "Grazie", reply_to_message_id="wamid.abc"),
    "image": lambda w: w.send_image(TO, PNG, "Una buca", mime_type="image/png"),
    "document": lambda w: w.send_document(
        TO, b"%PDF-1.4", "esito.pdf", mime_type="application/pdf"
    ),
    "location": lambda w: w.send_location(TO, 39.2, 9.1, "Municipio", "via Roma 145"),
    "reaction": lambda w: w.send_reaction(TO, "👍", "wamid.abc"),
    "template": lambda w: w.send_template(TO, "risposta", TemplateLanguage.ITALIAN, []),
    "contacts": lambda w: w.send_contact(
        TO,
        types.Contact(
            name=types.Contact.Name(formatted_name="Ufficio URP", first_name="URP"),
            phones=[types.Contact.Phone(phone="+39070", type="WORK")],
        ),
    ),
    "interactive list": lambda w: w.send_message(
        TO,
        "Di che cosa si tratta?",
        header="Comune",
        footer="Scelga",
        buttons=types.SectionList(
            button_title="Scelga",
            sections=[
                types.Section(
                    title="Temi",
                    rows=[types.SectionRow(title="Strade", callback_data="strade")],
                )
            ],
        ),
    ),
    "interactive button": lambda w: w.send_message(
        TO,
        "Va bene?",
        buttons=[types.Button("Sì", "si"), types.Button("No", "no")],
    ),
    "interactive location_request_message": lambda w: w.request_location(TO, "Dove?"),
    "interactive cta_url": lambda w: w.send_message(
        TO, "Il regolamento", buttons=types.URLButton("Apri", "https://comune.test")
    ),
}


@pytest.mark.parametrize("kind", SENDS)
async def test_pywa_sends_through_our_simulator(sim, outside, kind):
    """It takes what a library of others makes, and says so in Meta's shape."""
    answer = await asyncio.to_thread(SENDS[kind], outside.pywa)

    [sent] = sim.sent
    told = " ".join(filter(None, (sent.type, sent.interactive)))
    assert (kind, sent.wamid) == (told, answer.id)


async def test_statuses_come_back_to_pywa(sim, outside, listening):
    """Sent and delivered, of the message it sent."""
    answer = await asyncio.to_thread(SENDS["text"], outside.pywa)
    await sim.settled()

    statuses = [(update.id, update.status.name) for update in outside.read]
    assert [(answer.id, "SENT"), (answer.id, "DELIVERED")] == statuses


@pytest.mark.parametrize("kind", ["list", "button"])
async def test_choices_come_back_to_pywa(sim, outside, listening, kind):
    """What a citizen chooses from a menu that it sent, and from which."""
    sim.statuses = ()
    await asyncio.to_thread(SENDS[f"interactive {kind}"], outside.pywa)
    [sent] = sim.sent
    option, title = sent.menu[0]
    await sim.webhook(sim.choose(TO, sent, option))

    [chosen] = outside.read
    assert (option, title) == (chosen.data, chosen.title)
    assert sent.wamid == chosen.reply_to_message.id


async def test_pywa_marks_as_read(sim, outside, listening):
    """A citizen's message, and that somebody is typing."""
    said = sim.text(TO, "Buongiorno")
    await sim.webhook(said)
    [update] = outside.read
    await asyncio.to_thread(outside.pywa.mark_message_as_read, update.id)
    await asyncio.to_thread(outside.pywa.indicate_typing, update.id)

    assert [(update.id, False), (update.id, True)] == [
        (mark.message_id, mark.typing) for mark in sim.read_marks
    ]


async def test_pywa_reads_no_mark_of_nothing(sim, outside):
    """What no citizen has sent can't be marked."""
    with pytest.raises(WhatsAppError) as caught:
        await asyncio.to_thread(outside.pywa.mark_message_as_read, "wamid.no")

    assert (131009, []) == (caught.value.code, sim.read_marks)


@pytest.mark.parametrize("person", [TO, f"IT.{TO}"])
async def test_pywa_blocks_and_unblocks(sim, outside, listening, person):
    """Who wrote, by number and by user id."""
    await sim.webhook(sim.text(TO, "Buongiorno"))
    blocked = await asyncio.to_thread(outside.pywa.block_users, [person])
    after = sim.blocked
    unblocked = await asyncio.to_thread(outside.pywa.unblock_users, [person])

    assert [person] == [user.input for user in blocked.added_users]
    assert [person] == [user.input for user in unblocked.removed_users]
    assert ([person], []) == (after, sim.blocked)


async def test_pywa_is_told_who_is_not_blocked(sim, outside, listening):
    """Who has not written; the others are blocked all the same."""
    await sim.webhook(sim.text(TO, "Buongiorno"))
    with pytest.raises(WhatsAppError) as caught:
        await asyncio.to_thread(outside.pywa.block_users, [TO, "393290000009"])

    assert (139100, [TO]) == (caught.value.code, sim.blocked)


async def test_pywa_shows_the_number(sim, outside):
    """Its name and its quality, as the simulator has them."""
    number = await asyncio.to_thread(outside.pywa.get_business_phone_number)

    assert (NUMBER, "Simulator") == (number.id, number.verified_name)


async def test_refusals_reach_pywa(sim, outside):
    """As errors with Meta's code."""
    with pytest.raises(WhatsAppError) as caught:
        await asyncio.to_thread(outside.pywa.send_message, TO, "x" * 4097)

    assert 100 == caught.value.code


# What pywa reads otherwise, or not at all, and why ours stays. Besides these, it wants
# a user id in each contact: Meta's own examples, of 2025, have none.
DIFFERENT = {
    "pywa_message_status__group": "the statuses of a group are a type of their own",
    "pywa_message__interactive_message_with_err": "no `interactive` to read",
    "pywa_flow_completion__completion": "its answers are a type of their own",
    "pywa_flow_completion__without_flow_token": "as above",
    "pywa_system__identity_change": "it is about who somebody is",
    "pywa_system__phone_number_change": "as above",
}


def names() -> list[str]:
    """Return the payloads that hold one message or status."""
    found = []
    for file in sorted(INBOUND.iterdir()):
        value = json.loads(file.read_bytes())["entry"][0]["changes"][0]["value"]
        contacts = value.get("contacts", [{}])
        if (
            ("messages" in value or "statuses" in value)
            and all("user_id" in contact for contact in contacts)
            and file.stem not in DIFFERENT
        ):
            found.append(file.stem)
    return found


@pytest.mark.parametrize("name", names())
def test_pywa_reads_what_we_read(channel, inbound, outside, name):
    """Who, what, and about which message."""
    body = (INBOUND / f"{name}.json").read_bytes()
    value = json.loads(body)["entry"][0]["changes"][0]["value"]
    [item] = split(body, value["metadata"]["phone_number_id"]).items
    ours = channel().parse(inbound(body, item))

    theirs = outside.take(body)

    told = of_receipt if isinstance(ours, Receipt) else of_message
    assert told(ours) == of_pywa(theirs)


def of_receipt(receipt: Receipt) -> dict[str, Any]:
    """Tell what a status says."""
    return {
        "id": receipt.external_id,
        "status": receipt.status.value,
        "code": receipt.code,
    }


def of_message(message: Message) -> dict[str, Any]:
    """Tell what a message says, in the terms that both have."""
    return {
        "id": message.external_id,
        "text": message.text,
        "choice": message.choice,
        "files": [(a.locator, a.media_type) for a in message.attachments],
        "place": message.location
        and (message.location.latitude, message.location.longitude),
        "forwarded": bool({"forwarded", "frequently_forwarded"} & set(message.flags)),
        "amends": message.amends,
        "amendment": message.amendment,
    }


def of_pywa(update: Any) -> dict[str, Any]:
    """Tell the same of what pywa has read."""
    if isinstance(update, types.MessageStatus):
        status = update.status.value
        return {
            "id": update.id,
            "status": "read" if status == "played" else status,
            "code": str(update.error.code) if update.error else "",
        }
    said = getattr(update, "message", update)  # an edit has the message it makes
    media = getattr(said, "media", None)
    location = getattr(update, "location", None)
    return {
        "id": update.id,
        "text": _text_of(said),
        "choice": getattr(update, "data", None) or "",
        "files": [(media.id, media.mime_type.split(";")[0])] if media else [],
        "place": location and (location.latitude, location.longitude),
        "forwarded": bool(getattr(update, "forwarded", False)),
        **_amended(update),
    }


def _text_of(update: Any) -> str:
    reaction = getattr(update, "reaction", None)
    if reaction is not None:
        return reaction.emoji or ""
    contacts = getattr(update, "contacts", None)
    if contacts:
        return "\n".join(map(_card, contacts))
    order = getattr(update, "order", None)
    if order is not None:
        return "\n".join(f"{p.quantity} x {p.sku}" for p in order.products)
    for key in ("title", "text", "caption"):
        if text := getattr(update, key, None):
            return str(text)
    return ""


def _card(contact: Any) -> str:
    company = contact.org.company if contact.org else None
    phones = [phone.phone for phone in contact.phones]
    return ", ".join(filter(None, [contact.name.formatted_name, company, *phones]))


def _amended(update: Any) -> dict[str, Any]:
    if isinstance(update, types.EditedMessage):
        return {"amends": update.original_message_id, "amendment": Amendment.EDIT}
    if isinstance(update, types.DeletedMessage):
        original = update.original_message_id
        return {"amends": original, "amendment": Amendment.REVOCATION}
    reaction = getattr(update, "reaction", None)
    if reaction is not None:
        return {"amends": reaction.message_id, "amendment": Amendment.REACTION}
    return {"amends": "", "amendment": None}
