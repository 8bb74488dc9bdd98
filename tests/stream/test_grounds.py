"""Why a message went where, and where it is about: on the record, and at the office."""

from __future__ import annotations

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
