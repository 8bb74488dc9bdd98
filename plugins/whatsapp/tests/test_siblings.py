"""Several numbers on one app: Meta sends the events of all to one address."""

from __future__ import annotations

import json
from dataclasses import replace

import aiohttp
import pytest
from gateway_whatsapp import WhatsAppPlugin
from gateway_whatsapp.signature import HEADER, sign

from gateway import inbox as gateway_inbox
from gateway.errors import ConfigError, StoreUnavailable
from gateway.model import ChannelId
from gateway.setup import set_up
from gateway.store import schema

SECRET = "testappsecret"
NUMBER, OTHER = "1122334455667", "7766554433221"
TEXT = "inbound/pywa_message__text.json"
STATUS = "inbound/pywa_message_status__sent.json"
POLICE, OFFICE = ChannelId("polizia"), ChannelId("urp")


class Failing:
    """An inbox that fails for one channel, once."""

    def __init__(self, inbox, channel: ChannelId) -> None:
        self._inbox = inbox
        self._channel = channel

    async def accept(self, channel, *given):
        """Fail, or store."""
        if channel == self._channel:
            self._channel = None
            raise StoreUnavailable("away")
        return await self._inbox.accept(channel, *given)


@pytest.fixture
async def http():
    """The clients' session."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def app(http, channel, config, serve, real_inbox):
    """Serve two channels of one plugin; return a way to post to one of them."""
    factory = WhatsAppPlugin().register_channels()[0].factory
    urls = []

    def make(channel_id, into, **changes):
        context = replace(channel().context, inbox=into or real_inbox)
        return factory(channel_id, config(**changes), context)

    async def start(into=None, first=None, second=None):
        office = make(OFFICE, into, **(first or {}))
        police = make(POLICE, into, phone_number_id=OTHER, **(second or {}))
        urls.append(await serve(office, siblings=[police]))
        return office, police

    async def post(body: bytes, secret: str = SECRET, to: str = OFFICE):
        url = urls[-1].replace(f"/{OFFICE}/", f"/{to}/")
        headers = {HEADER: sign(body, secret.encode())}
        async with http.post(url, data=body, headers=headers) as response:
            return response.status, await response.text()

    return start, post


def renamed(payload, number: str, wamid: str):
    """Return a webhook's entry as that of another number, with an id of its own."""
    value = payload["entry"][0]["changes"][0]["value"]
    value["metadata"]["phone_number_id"] = number
    for each in (*value.get("messages", ()), *value.get("statuses", ())):
        each["id"] = wamid
    return payload["entry"][0]


@pytest.fixture
def both(fixture) -> bytes:
    """A webhook with a message to one number, a message and a status to the other."""
    payload = fixture(TEXT)
    payload["entry"] = [
        renamed(fixture(TEXT), NUMBER, "wamid.office"),
        renamed(fixture(TEXT), OTHER, "wamid.police"),
        renamed(fixture(STATUS), OTHER, "wamid.sent"),
    ]
    return json.dumps(payload).encode()


async def stored(store) -> list[tuple[str, str]]:
    """Return channel and external id of what is in the inbox."""
    found = await store.read(lambda c: c.execute(schema.inbox.select()).all())
    return sorted((row.channel, row.external_id.split(":972")[0]) for row in found)


OFFICES = [("urp", "wamid.office")]
POLICES = [("polizia", "status:wamid.sent:sent"), ("polizia", "wamid.police")]


@pytest.mark.parametrize("to", [OFFICE, POLICE])
async def test_each_channel_gets_its_part(app, both, store, to):
    """One webhook at either address: each item is stored under its own channel."""
    serve, post = app
    await serve()

    assert (200, "accepted\n") == await post(both, to=to)
    assert sorted(OFFICES + POLICES) == await stored(store)


async def test_part_of_another_is_read_by_it(app, both, store):
    """What came to a sibling's address is read like everything else."""
    serve, post = app
    _, police = await serve()
    await post(both)
    table = schema.inbox
    of_police = table.select().where(table.c.external_id == "wamid.police")
    row = await store.read(lambda c: c.execute(of_police).one())
    [inbound] = await store.read(lambda c: gateway_inbox.load(c, [row.id]))

    assert "Body Text" == police.parse(inbound).text


async def test_repetitions_are_known_per_channel(app, both, store):
    """The same webhook, at whichever address, makes no second row."""
    serve, post = app
    await serve()
    answers = [await post(both, to=to) for to in (OFFICE, POLICE, OFFICE)]

    assert [(200, "accepted\n")] * 3 == answers
    assert sorted(OFFICES + POLICES) == await stored(store)


@pytest.mark.parametrize("failing", [OFFICE, POLICE])
async def test_failure_of_one_is_a_retry_for_all(app, both, store, real_inbox, failing):
    """If one part can't be stored: 503; the repetition loses and doubles nothing."""
    serve, post = app
    await serve(Failing(real_inbox, failing))
    first, _ = await post(both)
    second, _ = await post(both)

    assert (503, 200) == (first, second)
    assert sorted(OFFICES + POLICES) == await stored(store)


async def test_number_of_nobody_stays_ignored(app, fixture, store):
    """A number that no channel has is acknowledged with a reason."""
    serve, post = app
    await serve()
    payload = fixture(TEXT)
    payload["entry"] = [renamed(fixture(TEXT), "1", "wamid.nobody")]

    answer = await post(json.dumps(payload).encode())

    assert (200, "ignored: other phone_number_id\n") == answer
    assert [] == await stored(store)


async def test_another_app_gets_nothing(app, both, store):
    """A channel of another app is no sibling: its own app tells it what it should."""
    serve, post = app
    await serve(second={"app_secrets": ["of-another-app"]})

    assert (200, "accepted\n") == await post(both)
    assert OFFICES == await stored(store)
    assert 401 == (await post(both, to=POLICE))[0]


async def test_sibling_that_lacks_the_new_secret(app, both, store):
    """While secrets change, nothing is lost: Meta comes again until both know it."""
    serve, post = app
    await serve(first={"app_secrets": ["the-new-one", SECRET]})
    status, text = await post(both, "the-new-one")

    assert 401 == status
    assert "app_secrets of channel polizia" in text
    assert [] == await stored(store)
    assert (200, "accepted\n") == await post(both, SECRET)


async def test_poison_of_a_number_is_that_of_its_channel(app, fixture, store):
    """A sibling's broken part goes to it; what is nobody's to whose address it is."""
    serve, post = app
    await serve()
    payload = fixture(TEXT)
    payload["entry"] = [renamed(fixture(TEXT), OTHER, "")]
    body = json.dumps(payload).encode()
    answers = [await post(body), await post(b"{")]

    found = [(channel, key.split(":")[0]) for channel, key in await stored(store)]

    assert [(200, "accepted\n")] * 2 == answers
    assert [("polizia", "poison"), ("urp", "poison")] == found


async def test_closed_channel_gets_nothing(app, both, store):
    """A channel that was closed no longer takes part; one made anew does."""
    serve, post = app
    _, police = await serve()
    await police.close()

    assert (200, "accepted\n") == await post(both)
    assert OFFICES == await stored(store)

    _, again = await serve()
    await police.close()
    await post(both)

    assert again.id == POLICE
    assert sorted(OFFICES + POLICES) == await stored(store)


TWICE = """
[gateway]
name = "Comune"
plugins = ["whatsapp"]
default_service = "urp"

[channels.urp]
type = "whatsapp"
phone_number_id = "1"
token = {{ env = "WORD" }}
app_secrets = [{{ env = "WORD" }}]
verify_token = {{ env = "WORD" }}

[channels.polizia]
type = "whatsapp"
phone_number_id = "{number}"
token = {{ env = "WORD" }}
app_secrets = [{{ env = "WORD" }}]
verify_token = {{ env = "WORD" }}

[services.urp]
name = "URP"
connectors = []
"""


def test_number_on_two_channels_is_a_mistake(tmp_path, monkeypatch):
    """Whose messages they are could not be told: `check` names the line."""
    monkeypatch.setenv("WORD", "sixteen characters and more")
    path = tmp_path / "gateway.toml"
    path.write_text(TWICE.format(number="1"))

    with pytest.raises(ConfigError) as caught:
        set_up(path)

    [first, *_] = [p for p in caught.value.problems if p.key.startswith("channels")]
    assert ("channels.polizia.phone_number_id", 16) == (first.key, first.line)
    assert "which is that of channels.urp" in first.found
