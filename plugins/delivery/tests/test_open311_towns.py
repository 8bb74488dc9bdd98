"""Two towns: what one reports by GeoReport, the other takes, answers and closes."""

from __future__ import annotations

import pytest
from app_town import CITY, KEY, OLD_KEY, app_town
from delivery_town import town

from gateway.model import Outgoing
from gateway.store import schema

PLACE = {"latitude": 39.2153, "longitude": 9.1107}
SPARE = '{ type = "maildrop", path = "/nowhere" }'


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    """The key that the other town gave us."""
    monkeypatch.setenv("APP_KEY", KEY)
    monkeypatch.setenv("OLD_APP_KEY", OLD_KEY)


@pytest.mark.parametrize("restarts", [False, True])
async def test_report_goes_to_another_town_and_its_end_comes_back(tmp_path, restarts):
    """Each citizen reads of their own report, once, and the case is closed in both."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    notices: list[Outgoing] = []
    async with app_town(there) as app:
        keys = (
            f'base_url = "{app.url}", api_key = {{ env = "APP_KEY" }}, timeout = 5',
            f'jurisdiction_id = "{CITY}", service_code = "001"',
        )
        strade = f'{{ type = "open311", {", ".join(keys)} }}'
        async with town(here, strade, SPARE, notices=notices) as city:
            await city.say("una buca in via Roma", "anna", **PLACE)
            await city.say("un tombino rotto", "bea", **PLACE)
            await city.settle()
            await app.settle()
            assert [] == city.told("anna")

            _, rows = await app.get("requests.json")
            of = {
                name: row["service_request_id"]
                for row in rows
                for name, words in (("anna", "buca"), ("bea", "tombino"))
                if words in row["description"]
            }
            await app.answer(of["anna"], "Squadra avvisata.")
            await city.until(lambda: len(city.told("anna")) == 1)
            await city.settle()
            if not restarts:
                await app.answer(of["anna"], "Buca riparata.", "closed")
                await city.until(lambda: len(city.told("anna")) == 2)
                await city.settle()
        if restarts:
            await app.answer(of["anna"], "Buca riparata.", "closed")
        async with town(here, strade, SPARE, notices=notices) as city:
            await city.until(lambda: len(city.told("anna")) == 2)
            await app.answer(of["bea"], "Tombino cambiato.", "closed")
            await city.until(lambda: len(city.told("bea")) == 1)
            await city.settle()

            first, last = city.told("anna")
            assert "Squadra avvisata." in first
            assert "Buca riparata." in last
            assert "Tombino cambiato." in city.told("bea")[0]
            stands = {row.status for row in await city.rows(schema.cases)}
            assert {"closed"} == stands
            assert [] == await city.rows(schema.dead_letter)
        assert 2 == len(await app.town.rows(schema.cases))
