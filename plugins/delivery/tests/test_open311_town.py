"""What a GeoReport server says of our requests reaches the citizen, once."""

from __future__ import annotations

import asyncio
import json

import pytest
from delivery_town import Town, town
from gateway_delivery import Open311Connector
from georeport_server import CITY, KEY, GeoReport, georeport

from gateway import failpoints
from gateway.model import Outgoing
from gateway.store import schema

PLACE = {"latitude": 39.2153, "longitude": 9.1107}
SPARE = '{ type = "maildrop", path = "/nowhere" }'


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each story is told on both databases."""
    if request.param == "sqlite":
        return "sqlite:///gateway.db"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
async def server(monkeypatch):
    """The office's GeoReport server."""
    monkeypatch.setenv("KEY", KEY)
    async with georeport() as serving:
        yield serving


@pytest.fixture
def disarmed():
    """Leave no point armed."""
    yield
    failpoints.disarm()


def office(server: GeoReport, code: str = "001") -> str:
    """Configure an office that is reached by GeoReport."""
    keys = (
        f'base_url = "{server.url}", api_key = {{ env = "KEY" }}, timeout = 2',
        f'jurisdiction_id = "{CITY}", service_code = "{code}"',
        'attributes = { SIZE = "L" }' if code == "001" else "attributes = {}",
    )
    return f'{{ type = "open311", {", ".join(keys)} }}'


async def asked_again(city: Town, server: GeoReport, times: int = 3) -> None:
    """Wait until the server has been asked some times more."""
    until = server.asked + times
    await city.until(lambda: server.asked >= until)
    await city.settle()


async def test_updates_reach_the_citizen_and_the_end_closes_the_case(
    server, tmp_path, url
):
    """A note is an answer, once; closed closes the case, and nobody asks any more."""
    async with town(tmp_path, office(server), SPARE, url) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        await asked_again(city, server)
        assert [] == city.told()

        server.update("638345", notes="Squadra avvisata.")
        await city.until(lambda: len(city.told()) == 1)
        await asked_again(city, server)
        server.update("638345", "closed", "Buca riparata.")
        await city.until(lambda: len(city.told()) == 2)
        await city.settle()

        first, last = city.told()
        assert "Squadra avvisata." in first
        assert "Buca riparata." in last
        assert "è chiusa" in last
        assert "Squadra avvisata." not in last
        assert ["closed"] == [row.status for row in await city.rows(schema.cases)]
        asked = server.asked
        await asyncio.sleep(0.3)
        assert asked == server.asked


async def test_notes_that_look_like_an_order_are_words(server, tmp_path):
    """Only the state of the request closes the case, and never that of an addition."""
    async with town(tmp_path, office(server), SPARE) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        await city.say("è più grande", **PLACE)
        await city.settle()
        report, addition = server.requests
        server.update(addition, "closed", "Chiuso\n\nVista anche questa.")
        await city.until(lambda: len(city.told()) == 1)
        server.update(report, notes="Inoltrato a rifiuti")
        await city.until(lambda: len(city.told()) == 2)
        await city.settle()

        first, last = city.told()
        assert "Chiuso\n\nVista anche questa." in first
        assert "Inoltrato a rifiuti" in last
        rows = await city.rows(schema.cases)
        assert [("strade", "answered")] == [(row.service, row.status) for row in rows]


async def test_what_is_said_again_later_is_news(server, tmp_path):
    """The office goes back to an earlier note: the citizen reads it again."""
    async with town(tmp_path, office(server), SPARE) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        for count, notes in enumerate(("In corso.", "Sospeso.", "In corso."), start=1):
            server.update("638345", notes=notes)
            await city.until(lambda count=count: len(city.told()) == count)
            await city.settle()

        assert [True, False, True] == ["In corso." in text for text in city.told()]


async def test_each_citizen_reads_of_their_own_report(server, tmp_path):
    """Many reports, updates in another order: none reaches anybody else."""
    async with town(tmp_path, office(server), SPARE) as city:
        for number in range(12):
            await city.say(f"buca {number}", sender=f"citizen{number}", **PLACE)
        await city.settle()
        for request, row in reversed(server.requests.items()):
            said = row["description"].partition("\n")[0]
            server.update(request, "closed", f"riparata: {said}.")
        await city.until(lambda: len(city.notices) == 24)
        await city.settle()

        for number in range(12):
            (told,) = city.told(f"citizen{number}")
            assert f"riparata: buca {number}." in told


async def test_token_becomes_a_request_that_is_heard_of(server, tmp_path):
    """A server that gives a token first is asked until it has an id."""
    async with town(tmp_path, office(server, "002"), SPARE) as city:
        await city.say("un cassonetto", **PLACE)
        await city.settle()
        await asyncio.sleep(0.2)
        server.redeemed = True
        server.update("638345", "closed", "Svuotato.")
        await city.until(lambda: bool(city.told()))

        assert "Svuotato." in city.told()[0]


async def test_restart_loses_and_doubles_nothing(server, tmp_path, url):
    """What was said while it was down is read once, what was read not again."""
    notices: list[Outgoing] = []
    async with town(tmp_path, office(server), SPARE, url, notices) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        server.update("638345", notes="Squadra avvisata.")
        await city.until(lambda: len(city.told()) == 1)
        await city.settle()
    server.update("638345", notes="Squadra sul posto.")
    async with town(tmp_path, office(server), SPARE, url, notices) as city:
        await city.until(lambda: len(city.told()) == 2)
        await asked_again(city, server)

        assert [True, False] == ["avvisata" in text for text in city.told()]
        assert 1 == len(server.posted)


@pytest.mark.parametrize("status", ["open", "closed"])
async def test_crash_between_stored_and_heard_doubles_nothing(
    status, server, tmp_path, disarmed
):
    """Stored, then cut off before it was noted: fetched again, it is the same."""
    struck = []

    def fail(name: str) -> None:
        struck.append(name)
        if len(struck) == 1:
            raise RuntimeError(name)

    failpoints.arm("open311.before_heard", fail)
    async with town(tmp_path, office(server), SPARE) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        server.update("638345", status, "Squadra avvisata.")
        await city.until(lambda: len(struck) == 2)
        await asyncio.sleep(0.2)
        await city.settle()

        assert 1 == len(city.told())


@pytest.mark.parametrize("fault", ["reply", "record"])
async def test_lost_reply_makes_one_request(fault, server, tmp_path, url, monkeypatch):
    """The reply was lost, or we failed before noting it: one request, heard of."""

    def fail(name: str) -> None:
        failpoints.disarm()
        raise RuntimeError(name)

    monkeypatch.setattr(Open311Connector, "grace_seconds", 0.0)
    server.lost = int(fault == "reply")
    if fault == "record":
        failpoints.arm("open311.before_track", fail)
    async with town(tmp_path, office(server), SPARE, url) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        server.update("638345", "closed", "Fatto.")
        await city.until(lambda: bool(city.told()))

        assert 1 == len(server.posted)
        assert 1 == len(city.told())
        assert [] == await city.rows(schema.dead_letter)


async def test_report_without_a_place_goes_to_the_fallback(server, tmp_path):
    """GeoReport can't have it; the office's folder can."""
    drop = tmp_path / "strade"
    drop.mkdir()
    spare = f'{{ type = "maildrop", path = "{drop}" }}'
    async with town(tmp_path, f"{office(server)}, {spare}", SPARE) as city:
        await city.say("una buca")
        await city.settle()

        assert [] == server.posted
        assert 1 == len(list(drop.glob("URP-*")))
        assert [] == await city.rows(schema.dead_letter)


async def test_an_office_can_close_what_was_reopened(server, tmp_path):
    """The citizen says more of a closed report; its system closes that, too."""
    async with town(tmp_path, office(server), SPARE) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        server.update("638345", "closed", "Buca riparata.")
        await city.until(lambda: len(city.told()) == 1)
        await city.settle()
        (row,) = await city.rows(schema.cases)
        await city.say(f"{row.number} la buca c'è ancora")
        await city.settle()
        (row,) = await city.rows(schema.cases)
        assert "reopened" == row.status
        (again,) = set(server.requests) - {"638345"}
        server.update(again, "closed")
        await asyncio.sleep(1)
        await city.settle()
        (row,) = await city.rows(schema.cases)
        assert "closed" == row.status


async def test_an_offices_note_for_another_office_is_not_published(server, tmp_path):
    """Rifiuti hands on to Strade, which is reached by GeoReport, with a note."""
    drop = tmp_path / "rifiuti"
    (drop / "answers").mkdir(parents=True)
    rifiuti = f'{{ type = "maildrop", path = "{drop}", answers = true }}'
    async with town(tmp_path, rifiuti, office(server)) as city:
        await city.say("una buca", **PLACE)
        await city.settle()
        (row,) = await city.rows(schema.cases)
        answer = {
            "case": row.number,
            "status": "handed_on",
            "to": "rifiuti",
            "text": "Il sig. Deiana, via Po 3, è malato: chiamatelo al 329 000.",
        }
        (drop / "answers" / "a.json").write_text(json.dumps(answer))
        await city.until(lambda: bool(server.requests))
        await city.settle()
        published = [each["description"] for each in server.requests.values()]
        assert [] == [each for each in published if "Deiana" in each]
