"""Why a message went where, and where it is about: on the record, and at the office."""

from __future__ import annotations

import asyncio

import orjson
from gateway_routing import RoutingPlugin
from small_city import small_city

from gateway.store import schema

STREETS = (
    "street,number,latitude,longitude,district\nVia Roma,12,39.2145,9.1135,Marina\n"
)
ROUTING = """
[plugins.plugin0]
rules = [
  { name = "Marina", service = "strade", words = ["buca"], districts = ["Marina"] },
  { service = "urp", words = ["buca", "orari"] },
]
[plugins.plugin0.places]
streets = "streets.csv"
"""


async def test_grounds_and_place(tmp_path, url):
    """Rule, words with their places, what else held, who lost; address and district."""
    (tmp_path / "streets.csv").write_text(STREETS)
    plugin = RoutingPlugin()
    async with small_city(tmp_path, plugin, url=url, sections=ROUTING) as city:
        await city.say(text="c'è una buca in v. roma 12")
        await city.settle()
        await city.say(text="grazie")
        await city.settle()

        first, second = await city.rows(schema.assignment)
        if first.grounds is None:
            first, second = second, first
        grounds = orjson.loads(first.grounds)
        [handed, _] = city.outside.handovers

    assert ("rules", "Marina") == (grounds["layer"], grounds["rule"])
    assert [{"start": 8, "end": 12, "weight": 1.0}] == grounds["clues"]
    assert ["zona: Marina"] == grounds["conditions"]
    assert [{"service": "urp", "score": 1.0}] == grounds["alternatives"]
    assert second.grounds is None
    place = handed.message.location
    assert "strade" == handed.service
    assert ("Via Roma 12", "Marina", "text", 39.2145) == (
        place.address,
        place.district,
        place.source,
        place.latitude,
    )


GEOCODER = """
[plugins.plugin0.geocoder]
base_url = "http://127.0.0.1:{port}"
city = "Prova"
contact = "urp@example.it"
timeout = 0.1
"""


async def test_silent_geocoder_holds_nothing(tmp_path, url):
    """Each message goes on without a place, unflagged."""
    asked = []

    async def say_nothing(reader, writer):
        asked.append(await reader.readline())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sections = GEOCODER.format(port=port)
        plugin = RoutingPlugin()
        async with small_city(tmp_path, plugin, url=url, sections=sections) as city:
            for number in range(12):
                await city.say(text=f"buca in via dei Tulipani {number + 1}")
            await city.settle()
            handed = [each.message for each in city.outside.handovers]

    assert 12 == len(handed)
    assert {(None, ())} == {(each.location, each.flags) for each in handed}
    assert any(b"GET /search?" in line for line in asked)
