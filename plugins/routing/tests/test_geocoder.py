"""The geocoder: what is asked, what is believed, and that nobody waits for it."""

import asyncio
import csv
import json
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import structlog
from gateway_routing import RoutingConfig, RoutingPlugin, geocoder
from gateway_routing.addresses import wanted_in
from gateway_routing.nominatim import read_reverse, read_search, read_status
from hypothesis import given
from hypothesis import strategies as st
from nominatim_server import nominatim
from pydantic import ValidationError
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import PayloadError, StoreUnavailable
from gateway.model import (
    Address,
    Amendment,
    ChannelId,
    HealthStatus,
    Location,
    Message,
    MessageId,
)
from gateway.testing.kit import MemoryState, make_context

DATA = Path(__file__).parent / "data"
NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
SECTION = {
    "base_url": "https://nominatim.example.it",
    "city": "Cagliari",
    "contact": "urp@comune.example.it",
}
TULIPS = "c'è una buca in via dei Tulipani 12, mi chiamo Anna"
HERE = Location(latitude=39.23041, longitude=9.11049)


def said(text, **fields):
    message = Message(
        id=MessageId("m1"),
        channel=ChannelId("urp"),
        external_id="x",
        sender=Address("whatsapp", "1"),
        sent_at=NOW,
        received_at=NOW,
        text=text,
    )
    return replace(message, **fields)


def rows():
    lines = (DATA / "wanted.tsv").read_text("utf-8").splitlines()
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture
async def server():
    """A Nominatim server."""
    async with nominatim() as server:
        yield server


@pytest.fixture
async def started(server):
    """Start the plugin with that geocoder; return what looks a message up."""
    plugins = []
    async with aiohttp.ClientSession() as http:

        async def started(places=None, rules=(), **geocoder):
            section = {**SECTION, "base_url": server.url, "interval_seconds": 0}
            config = RoutingConfig(
                geocoder=section | geocoder, places=places, rules=rules
            )
            context = make_context(http, config=config)
            plugin = RoutingPlugin()
            await plugin.startup(context)
            plugins.append(plugin)

            async def place(message):
                found = await plugin.enrich_message(context, message)
                return found and found.location

            return plugin, context, place

        yield started
        for plugin in plugins:
            await plugin.shutdown()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["text"])
def test_addresses_in_texts(row):
    """What looks like an address, and nothing around it."""
    found = wanted_in(row["text"])
    street, number = (found.street, found.number) if found else ("", "")

    assert (row["street"] or "", row["number"] or "") == (street, number)


@given(st.text() | st.text("via piazza roma.,12/b n°' \n").map("in via {}".format))
def test_any_text(text):
    """What would leave stands in the text, after its kind of street."""
    found = wanted_in(text)
    if found is not None:
        _, name = found.street.split(" ", 1)
        assert name in " ".join(text.split())
        assert len(found.street) < 200


@pytest.mark.parametrize("text", ["in via " * 500, "via di " * 500, "via a" * 900])
def test_long_texts_take_no_time(text):
    """Nobody can keep the stream busy."""
    started = time.perf_counter()
    wanted_in(text)

    assert time.perf_counter() - started < 0.2


async def test_address_gets_a_place(started, server):
    """Only the address leaves, with who asks; the citizen's number stays."""
    _, _, place = await started()
    found = await place(said(TULIPS))

    assert ("Via dei Tulipani 12", "text", 39.2301, 9.1102) == (
        found.address,
        found.source,
        found.latitude,
        found.longitude,
    )
    [asked] = server.asked
    assert ("12 via dei Tulipani", "Cagliari") == (asked["street"], asked["city"])
    assert "Anna" not in str(asked)
    assert {"municipal-gateway (urp@comune.example.it)"} == set(server.agents)


async def test_house(started, server):
    """The house's own point, if the server knows it."""
    server.answers = ["status.json", "house.json"]
    plugin, _, place = await started()
    await plugin.check_health()

    assert 39.23042 == (await place(said(TULIPS))).latitude


@pytest.mark.parametrize(
    "answer",
    ["nothing.json", "city.json", "other-name.json", "two-streets.json"],
)
async def test_what_is_not_believed(started, server, answer):
    """Nothing, no street, another street, what could be two."""
    plugin, _, place = await started()
    await plugin.check_health()
    server.answers = [answer]

    assert await place(said(TULIPS)) is None
    assert 1 == len(server.asked)


async def test_outside_of_the_city(started, server):
    """Where there is a map, what lies outside of it is elsewhere."""
    plugin, _, place = await started(
        places={"districts": DATA / "districts.geojson"},
    )
    await plugin.check_health()
    server.answers = ["outside.json"]

    assert await place(said(TULIPS)) is None


@pytest.mark.parametrize(
    "message",
    [
        said("buongiorno"),
        said("in via Roma 12"),
        said(TULIPS, amendment=Amendment.EDIT, amends="x"),
        said(TULIPS, automatic=True),
        said(TULIPS, location=replace(HERE, address="Via Altrove 1")),
    ],
    ids=["no address", "in the list", "amendment", "automatic", "told"],
)
async def test_nothing_is_asked(started, server, message):
    """What is known, or isn't an address, stays in the house."""
    _, _, place = await started(places={"streets": DATA / "streets.csv"})
    await place(message)

    assert [] == server.asked


@pytest.mark.parametrize("off", ["forward", "reverse"])
async def test_either_can_be_left_out(started, server, off):
    """The city may ask for addresses only, or for positions only."""
    _, _, place = await started(**{off: False})
    written = await place(said(TULIPS))
    sent = await place(said("", location=HERE))

    assert (off == "forward", 1) == (written is None, len(server.asked))
    assert ("" if off == "reverse" else "Via dei Tulipani 12") == sent.address


async def test_street_of_the_list_without_a_point(started, server):
    """It is asked for as the list calls it."""
    _, _, place = await started(places={"streets": DATA / "streets.csv"})
    server.answers = ["nothing.json"]
    await place(said("buca in via senza psto 3"))
    await place(said("buca in via senza posto 3"))

    assert {"3 Via senza posto"} == {each["street"] for each in server.asked}


async def test_position_gets_an_address(started, server, tmp_path):
    """The position stays as it was sent, and rounded leaves; rules know the street."""
    streets = tmp_path / "streets.csv"
    streets.write_text("street\nVia dei Tulipani\n")
    plugin, _, place = await started(
        places={"streets": streets},
        rules=[{"service": "verde", "streets": ["via dei tulipani"]}],
    )
    found = await place(said("una buca qui", location=HERE))

    assert replace(HERE, address="Via dei Tulipani 12") == found
    [asked] = server.asked
    assert ("39.2304", "9.1105") == (asked["lat"], asked["lon"])
    routed = await plugin.route_message(said("una buca qui", location=found))
    assert "verde" == routed.service


@pytest.mark.parametrize("answer", ["reverse-nothing.json", "reverse.json"])
async def test_position_far_from_any_address(started, server, answer):
    """The nearest street may be a field away: then there is no address."""
    plugin, _, place = await started()
    await plugin.check_health()
    server.answers = [answer]

    assert "" == (await place(said("", location=replace(HERE, latitude=39.24)))).address


async def test_answers_are_kept(started, server):
    """So many days, also that there is nothing; then they are forgotten."""
    plugin, context, place = await started(cache_days=2)
    await plugin.check_health()
    server.answers = ["nothing.json"]
    first = [await place(said(TULIPS)) for _ in range(2)]
    context.clock.advance(2 * 24 * 3600)
    again = await place(said(TULIPS))

    assert [None, None] == first
    assert "Via dei Tulipani 12" == again.address
    assert 2 == len(server.asked)


async def test_a_store_that_is_down_for_a_while(started, monkeypatch):
    """Old answers are forgotten the next time; young ones stay."""
    plugin, context, _ = await started()
    await plugin.shutdown()
    monkeypatch.setattr(geocoder, "TIDY_SECONDS", 0)
    context.state.values["geocoded/x"] = {"until": NOW.isoformat(), "found": []}
    context.state.values["geocoded/y"] = {"until": "2026-11-23T00:00Z", "found": []}
    context.clock.at = NOW
    faults = [StoreUnavailable("x"), StoreUnavailable("y")]
    find = context.state.find

    async def failing(self, prefix):
        if faults:
            raise faults.pop()
        return await find(prefix)

    monkeypatch.setattr(MemoryState, "find", failing)
    tidying = asyncio.create_task(plugin._geocoder.tidy())
    async with asyncio.timeout(5):
        while len(context.state.values) > 1:
            await asyncio.sleep(0)
    tidying.cancel()
    assert ([], ["geocoded/y"]) == (faults, list(context.state.values))


async def test_kept_things_name_no_address(started):
    """Who reads the keys learns nothing; the values live as long as they are told."""
    _, context, place = await started()
    await place(said(TULIPS))

    [(key, value)] = context.state.values.items()
    assert "tulipani" not in key.lower()
    assert {"until", "found"} == set(value)


async def test_nobody_waits_for_a_slow_server(started, server):
    """The message goes on; after five failures in a row it is left alone a while."""
    plugin, context, place = await started(timeout=0.1)
    await plugin.check_health()
    server.wait = 5
    begun = time.perf_counter()
    with structlog.testing.capture_logs() as logs:
        found = [await place(said(f"{TULIPS} via Rossi {n}")) for n in range(8)]

    assert ([None] * 8, 5) == (found, len(server.asked))
    assert time.perf_counter() - begun < 2
    assert 5 == len([each for each in logs if each["event"] == "geocoder_failed"])
    assert "ulipani" not in str(logs)
    assert HealthStatus.DEGRADED == (await plugin.check_health()).status
    server.wait = 0
    context.clock.advance(61)
    assert (await place(said(TULIPS))) is not None
    assert HealthStatus.OK == (await plugin.check_health()).status


async def test_cancelled_in_the_middle(started, server):
    """The gateway's own limit counts as a failure, too, and blocks nothing."""
    plugin, _, place = await started()
    await plugin.check_health()
    server.wait = 5
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await place(said(TULIPS))

    assert HealthStatus.DEGRADED == (await plugin.check_health()).status


async def test_one_question_an_interval(started, server):
    """A flood asks once; who would queue for long goes on without."""
    _, context, place = await started(interval_seconds=5)
    begun = time.perf_counter()
    messages = [said(f"in via Tulipani {n}") for n in range(1, 21)]
    found = await asyncio.gather(*(place(each) for each in messages))

    assert (1, 1) == (len(server.asked), len([each for each in found if each]))
    assert time.perf_counter() - begun < 1
    context.clock.advance(5)
    assert await place(said("in via Tulipani 20"))


async def test_a_short_queue_waits(started, server):
    """Each waits for its turn, if that is soon."""
    _, _, place = await started(interval_seconds=0.2)
    begun = time.perf_counter()
    messages = [said(f"in via Tulipani {n}") for n in range(1, 4)]
    found = await asyncio.gather(*(place(each) for each in messages))

    assert 3 == len([each for each in found if each])
    assert time.perf_counter() - begun >= 0.4


@pytest.mark.parametrize(
    "answer",
    [302, 403, 404, 429, 500, b"", b"<html>", b"[", b"{}", b"[1]", b"x" * 300_000],
)
async def test_wrong_answers(started, server, answer):
    """Whatever comes, the message goes on; nothing of it is kept."""
    plugin, context, place = await started()
    await plugin.check_health()
    server.answers = [answer]

    assert await place(said(TULIPS)) is None
    assert {} == context.state.values
    assert 1 == len(server.asked)


async def test_nobody_there(started):
    """No server: said as its health, no start fails."""
    plugin, _, place = await started(base_url="http://127.0.0.1:1")
    health = await plugin.check_health()

    assert HealthStatus.DEGRADED == health.status
    assert "geocoder: nothing listens there: check host and port" == health.text
    assert await place(said(TULIPS)) is None


def test_check_tries_it(tmp_path, monkeypatch):
    """`gateway check` tells that it does not answer; that alone is no failure."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(DATA / "geocoder.toml", "gateway.toml")
    result = CliRunner().invoke(app, ["check", "--json"])

    [row] = [r for r in json.loads(result.stdout) if r["part"] == "plugins.routing"]
    assert "degraded" == row["status"]
    assert "geocoder: nothing listens there" in row["text"]
    assert 0 == result.exit_code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["lat", "lon", "address", "road", "place_rank", "error"]),
            inner,
        )
    ),
)


@given(JSON)
def test_strange_answers(value):
    """Anything but an answer is told as such, without its values."""
    body = json.dumps(value).encode()
    for read in (read_search, read_reverse, read_status):
        with suppress(PayloadError):
            read(body)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("street.json", "lat", "91"),
        ("street.json", "lon", "nan"),
        ("street.json", "lon", "x"),
        ("street.json", "lat", 39.2),
        ("street.json", "place_rank", None),
    ],
)
def test_places_that_cannot_be(file, key, value):
    """The path is told."""
    document = json.loads((DATA / "nominatim" / file).read_text())
    document[0][key] = value

    with pytest.raises(PayloadError, match=rf"^\[0\]\.{key}: "):
        read_search(json.dumps(document).encode())


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "http://nominatim.example.it"},
        {"base_url": "https://a:b@nominatim.example.it"},
        {"base_url": "nominatim"},
        {"contact": ""},
        {"contact": "urp@a.it\r\nX: y"},
        {"city": ""},
        {"timeout": 0},
        {"interval_seconds": -1},
        {"cache_days": 0},
        {"key": "x"},
    ],
    ids=str,
)
def test_wrong_configuration(wrong):
    """Personal data go out encrypted, and only to who is named."""
    with pytest.raises(ValidationError):
        RoutingConfig(geocoder=SECTION | wrong)
