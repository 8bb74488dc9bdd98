"""What this plugin keeps of a citizen goes with them, and nobody else's."""

from __future__ import annotations

import pytest
from app_town import KEY, OLD_KEY, app_town
from delivery_town import Town, town
from georeport_server import CITY, GeoReport, georeport
from georeport_server import KEY as THEIR_KEY
from sqlalchemy import Connection

from gateway import forgetting, people
from gateway.errors import CaseError
from gateway.store import schema

SPARE = '{ type = "maildrop", path = "/nowhere" }'
BY = ("art. 17", "staff:test")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each story is told on both databases."""
    if request.param == "sqlite":
        return "sqlite:///gateway.db"
    return str(request.getfixturevalue("postgresql"))


def office(server: GeoReport) -> str:
    """Configure an office that is reached by GeoReport."""
    return (
        f'{{ type = "open311", base_url = "{server.url}", api_key = {{ env = "KEY" }},'
        f' jurisdiction_id = "{CITY}", service_code = "001",'
        ' attributes = { SIZE = "L" } }'
    )


async def forget(city: Town, who: str) -> int:
    """Erase what plugins keep of whoever has that address."""

    def work(connection: Connection) -> int:
        found = people.by_name(connection, who)
        return forgetting.forget(connection, found, *BY)

    return await city.gateway.store.run(work)


async def traces(city: Town, trace: str) -> set[str]:
    """Return the columns, of all tables, in which a trace of somebody is found."""

    def work(connection: Connection) -> set[str]:
        return {
            f"{table.name}.{name}"
            for table in schema.metadata.sorted_tables
            for row in connection.execute(table.select()).mappings()
            for name, value in row.items()
            if trace in str(value)
            or (isinstance(value, bytes) and trace.encode() in value)
        }

    return await city.gateway.store.read(work)


async def test_places_of_reports_are_erased_with_who_reported(
    tmp_path, url, monkeypatch
):
    """Nothing in the state of plugins has Anna's place; Bruno's is still there."""
    monkeypatch.setenv("KEY", THEIR_KEY)
    async with (
        georeport() as server,
        town(tmp_path, office(server), SPARE, url) as city,
    ):
        await city.say("una buca", "anna", latitude=39.21531, longitude=9.11071)
        await city.settle()
        await city.say("un palo", "bruno", latitude=39.22222, longitude=9.13333)
        await city.settle()
        with pytest.raises(CaseError, match="still open"):
            await forget(city, "phone:anna")
        for request in server.requests:
            server.update(request, "closed", "Fatto.")
        await city.until(lambda: len(city.told("bruno")) == 1)
        await city.until(lambda: len(city.told("anna")) == 1)
        await city.settle()
        kept = await traces(city, "39.21531")
        erased = await forget(city, "phone:anna")

        assert {"plugin_state.value", "message.body", "original.body"} == kept
        assert 1 == erased
        assert {"message.body", "original.body"} == await traces(city, "39.21531")
        assert "plugin_state.value" in await traces(city, "39.22222")
        (event,) = [
            each
            for each in await city.rows(schema.event)
            if each.action == "contact.plugin_state_erased"
        ]
        assert "39.2" not in event.data


async def test_words_kept_for_the_app_are_erased(tmp_path, url, monkeypatch):
    """The app reads of the other request only; a request is a contact of its own."""
    monkeypatch.setenv("APP_KEY", KEY)
    monkeypatch.setenv("OLD_APP_KEY", OLD_KEY)
    async with app_town(tmp_path, url) as app:
        tokens = [await app.report(), await app.report()]
        numbers = [await app.number(token) for token in tokens]
        for number in numbers:
            await app.answer(number, f"Per la signora di {number}.", "closed")
        await forget(app.town, f"open311:{tokens[0]}")

        theirs, others = [await app.read(number) for number in numbers]
        assert None is theirs["status_notes"]
        assert None is theirs["service_notice"]
        assert numbers[1] in others["status_notes"]
        found = await traces(app.town, f"Per la signora di {numbers[0]}")
        assert "plugin_state.value" not in found


async def test_cursor_that_ends_like_an_address_stays(tmp_path):
    """Who writes as INBOX does not take the cursor of a mailbox along."""
    async with town(tmp_path, SPARE, SPARE) as city:
        kept = {
            "plugin": "email",
            "key": "imap:posta:urp@comune.example.it/INBOX",
            "value": "{}",
        }
        await city.say("una buca", "INBOX")

        def work(connection: Connection) -> None:
            connection.execute(schema.plugin_state.insert(), kept)
            connection.execute(schema.job.delete())
            connection.execute(schema.cases.update().values(status="closed"))

        await city.until(lambda: bool(city.notices))
        await city.gateway.store.run(work)

        assert 0 == await forget(city, "phone:INBOX")
        assert ["{}"] == [row.value for row in await city.rows(schema.plugin_state)]
