"""The city's app reports, and reads what became of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import jsonschema
import orjson
import pytest
from app_town import KEY, OLD_KEY, REPORT, app_town
from gateway_delivery.open311_server.words import KeptWords
from gateway_routing import RoutingPlugin
from yarl import URL

from gateway.errors import StoreFull
from gateway.messages import from_row
from gateway.model import (
    Action,
    Assignment,
    Message,
    Outgoing,
    ServiceId,
    Verdict,
)
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema

FIXTURES = Path(__file__).parent / "fixtures" / "open311"
SCHEMA = json.loads((FIXTURES / "answers.schema.json").read_text())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each story is told on both databases."""
    if request.param == "sqlite":
        return "sqlite:///gateway.db"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    """The keys of the app."""
    monkeypatch.setenv("APP_KEY", KEY)
    monkeypatch.setenv("OLD_APP_KEY", OLD_KEY)


async def test_report_is_followed_to_its_end(tmp_path, url):
    """Posted, redeemed, answered, closed, also over a restart: the app reads it all."""
    async with app_town(tmp_path, url) as app:
        token = await app.report()
        number = await app.number(token)
        opened = await app.read(number)
        await app.answer(number, "Squadra avvisata.")
        answered = await app.read(number)

        assert "open" == opened["status"]
        assert None is opened["status_notes"]
        assert number in opened["service_notice"]
        assert "Buche" == opened["service_name"]
        assert "Strade" == opened["agency_responsible"]
        assert "C'è una buca." == opened["description"]
        assert opened["expected_datetime"] > opened["requested_datetime"]
        assert "open" == answered["status"]
        assert "Squadra avvisata." in answered["status_notes"]
    async with app_town(tmp_path, url) as app:
        assert answered == await app.read(number)
        await app.answer(number, "Buca riparata.", "closed")
        closed = await app.read(number)

        assert "closed" == closed["status"]
        assert "Buca riparata." in closed["status_notes"]
        assert "avvisata" not in closed["status_notes"]
        assert [] == await app.town.rows(schema.dead_letter)


async def test_answers_have_the_form_of_the_specification(tmp_path):
    """In JSON by the schema; in XML the same things by the same names."""
    async with app_town(
        tmp_path, app='contact = "urp"\nbase_url = "https://a.it/v2"'
    ) as app:
        number = await app.number(await app.report(address_string="via Roma 1"))
        for path, kind, root, one in (
            ("services", "services", "services", "service"),
            ("requests", "requests", "service_requests", "request"),
            (f"requests/{number}", "requests", "service_requests", "request"),
            ("requests/none", "errors", "errors", "error"),
        ):
            status, value = await app.get(f"{path}.json")
            xml_status, xml = await app.xml(f"{path}.xml")

            jsonschema.validate(value, {**SCHEMA, "$ref": f"#/$defs/{kind}"})
            assert status == xml_status
            assert (root, {one}) == (xml.tag, {each.tag for each in xml})
            assert as_texts(value) == [{e.tag: e.text for e in each} for each in xml]

        _, xml = await app.xml("services/001.xml")
        assert ["001", None] == [each.text for each in xml]
        assert "service_definition" == xml.tag
        _, xml = await app.xml("discovery.xml")
        (url,) = xml.iter("{http://open311.org/discovery/v2/discovery}url")
        assert "https://a.it/v2" == url.text


def as_texts(value):
    """Return JSON's values as XML has them."""
    said = {None: None, True: "true", False: "false"}
    return [
        {
            key: said[each] if isinstance(each, bool | None) else str(each)
            for key, each in row.items()
        }
        for row in value
    ]


async def test_code_decides_the_service_whatever_others_say(tmp_path):
    """A plugin that is asked first would send all to the URP."""

    class Eager(Plugin[NoConfig]):
        @hookimpl
        async def route_message(self, message: Message) -> Assignment:
            return Assignment(service=ServiceId("urp"), reason="all", source="eager")

    async with app_town(tmp_path, plugins={"eager": Eager()}) as app:
        hole = await app.number(await app.report())
        await app.number(await app.report(service_code="0_1"))
        assert {"strade", "rifiuti"} == {
            row.service for row in await app.town.rows(schema.cases)
        }
        _, rows = await app.get("requests.json", service_code="001")
        assert [hole] == [row["service_request_id"] for row in rows]


UNASSIGNED = """
[[channels.app.services]]
code = "luci"
name = "Luci"
[plugins.routing]
rules = [
  { service = "rifiuti", words = ["spento"] },
  { service = "strade", classifications = ["LU*"], weight = 2 },
]
"""


async def test_rules_decide_for_a_code_without_a_service(tmp_path, url):
    """They can ask for the code, and it stays on the record."""
    plugins = {"routing": RoutingPlugin()}
    async with app_town(tmp_path, url, app=UNASSIGNED, plugins=plugins) as app:
        said = {"service_code": "luci", "description": "Lampione spento"}
        await app.number(await app.report(**said))
        [case] = await app.town.rows(schema.cases)
        [grounds] = [
            orjson.loads(row.grounds) for row in await app.town.rows(schema.assignment)
        ]
        row, *_ = await app.town.rows(schema.message)

    assert "strade" == case.service
    assert ["classifica: luci"] == grounds["conditions"]
    assert "luci" == from_row(row).classification


@pytest.mark.parametrize("early", [False, True])
async def test_closed_is_shown_with_the_words_that_closed_it(
    early, tmp_path, url, monkeypatch
):
    """A program stops asking at closed: until the words are there, it is open."""
    kept, reached, gate = KeptWords.keep, asyncio.Event(), asyncio.Event()

    async def keep(self: KeptWords, outgoing: Outgoing) -> None:
        if early:
            await kept(self, outgoing)
        if outgoing.purpose == "answer":
            reached.set()
            await gate.wait()
        await kept(self, outgoing)

    monkeypatch.setattr(KeptWords, "keep", keep)
    async with app_town(tmp_path, url) as app:
        number = await app.number(await app.report())
        drop = tmp_path / "strade" / "answers" / "a.json"
        drop.parent.mkdir(exist_ok=True)
        drop.write_text(json.dumps({"case": number, "text": "Ok.", "status": "closed"}))
        async with asyncio.timeout(20):
            await reached.wait()

        before = await app.read(number)
        _, none = await app.get("requests.json", status="closed")
        _, still = await app.get("requests.json", status="open")
        gate.set()
        await app.settle()

        assert ("open", None) == (before["status"], before["status_notes"])
        assert ([], [before]) == (none, still)
        after = await app.read(number)
        assert "closed" == after["status"]
        assert "Ok." in after["status_notes"]
        assert (200, [after]) == await app.get("requests.json", status="closed")
        assert (200, []) == await app.get("requests.json", status="open")


async def test_office_reads_who_reports_and_the_app_never_does(tmp_path):
    """Name, mail, telephone are words for the office; no answer goes there."""
    who = {"first_name": "Anna", "email": "anna@example.it", "phone": "070123"}
    photo = {"media_url": "http://127.0.0.1:1/buca.jpg", "attribute[SIZE]": "L"}
    async with app_town(tmp_path) as app:
        number = await app.number(await app.report(**who, **photo))
        status, rows = await app.get("requests.json")
        (letter,) = tmp_path.glob("strade/URP-*/message.txt")
        office = letter.read_text()
        stored = await app.town.rows(schema.original)
        addresses = [row.uri for row in await app.town.rows(schema.address)]

    assert 200 == status
    assert "070123" in office
    assert "Anna, anna@example.it" in office
    assert photo["media_url"] in office
    assert "SIZE: L" in office
    assert not [each for each in who.values() if each in str(rows)]
    assert ["open311:001."] == [uri[:12] for uri in addresses]
    assert not [row for row in stored if KEY.encode() in row.body]
    assert number


async def test_each_report_is_somebody_elses(tmp_path):
    """The same words of one app: two cases of two contacts, each with its answers."""
    async with app_town(tmp_path) as app:
        first, second = [await app.number(await app.report()) for _ in range(2)]
        await app.answer(first, "Riparata.", "closed")

        assert first != second
        assert "closed" == (await app.read(first))["status"]
        assert None is (await app.read(second))["status_notes"]
        assert "open" == (await app.read(second))["status"]
        assert 2 == len(await app.town.rows(schema.contact))


@pytest.mark.parametrize("publish", [False, True])
async def test_who_has_no_key_reads_what_is_published(publish, tmp_path):
    """Nothing, or kind, place, state and dates; a wrong key reads nothing ever."""
    async with app_town(tmp_path, app=f"publish = {str(publish).lower()}") as app:
        number = await app.number(await app.report(media_url="http://a.it/b.jpg"))
        await app.answer(number, "Cara Anna, fatto.")
        for path in ("requests.json", f"requests/{number}.json"):
            status, value = await app.ask(path, {})
            wrong, _ = await app.ask(path, {"api_key": "x"})
            old, _ = await app.ask(path, {"api_key": OLD_KEY})

            assert (403, 200) == (wrong, old)
            assert (200 if publish else 403) == status
            if publish:
                (row,) = value
                private = ("description", "status_notes", "service_notice", "media_url")
                assert ["", "", "", ""] == [row[name] or "" for name in private]
                assert "Buche" == row["service_name"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "open"}, "ab"),
        ({"status": "closed"}, ""),
        ({"status": "open,closed"}, "ab"),
        ({"service_code": "001"}, "a"),
        ({"service_code": "001,0_1"}, "ab"),
        ({"start_date": "2100-01-01T00:00:00Z"}, ""),
        ({"end_date": "2001-01-01T00:00:00+01:00"}, ""),
        ({"service_request_id": "none, URP-0"}, ""),
    ],
)
async def test_requests_are_found_by_what_is_asked(query, found, tmp_path):
    """Newest first."""
    async with app_town(tmp_path) as app:
        a = await app.number(await app.report())
        b = await app.number(await app.report(service_code="0_1"))
        status, rows = await app.get("requests.json", **query)
        numbers = {"a": a, "b": b}

        assert 200 == status
        assert [numbers[each] for each in reversed(found)] == [
            row["service_request_id"] for row in rows
        ]


async def test_rejected_report_says_so_by_its_token(tmp_path):
    """It will never have a number: whoever asks reads why, or that it is looked at."""

    class Strict(Plugin[NoConfig]):
        @hookimpl
        async def moderate_message(self, message: Message) -> Verdict:
            action = Action.HOLD if "forse" in message.text else Action.REJECT
            return Verdict(action=action, rule="r", reason="Insulti", source="strict")

    async with app_town(tmp_path, plugins={"strict": Strict()}) as app:
        rejected, held = await app.report(), await app.report(description="forse")
        await app.settle()
        _, (refusal,) = await app.get(f"tokens/{rejected}.json")
        _, (waits,) = await app.get(f"tokens/{held}.json")
        unknown, _ = await app.get("tokens/001.none.json")

    assert 404 == unknown
    assert {"token", "service_notice"} == refusal.keys() == waits.keys()
    assert "Insulti" in refusal["service_notice"]
    assert "Insulti" not in waits["service_notice"]


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"api_key": "x"}, 403, "api_key"),
        ({"api_key": ""}, 403, "api_key"),
        ({"jurisdiction_id": "altrove"}, 404, "jurisdiction_id"),
        ({"service_code": ""}, 400, "service_code"),
        ({"service_code": "9"}, 404, "service_code"),
        ({"description": " "}, 400, "description"),
        ({"description": "x" * 4001}, 400, "description"),
        ({"lat": ""}, 400, "lat and long"),
        ({"lat": "", "long": ""}, 400, "place"),
        ({"lat": "91"}, 400, "lat"),
        ({"long": "nan"}, 400, "long"),
        ({"media_url": "x" * 70000}, 413, "bytes"),
    ],
)
async def test_bad_report_is_refused_and_nothing_stored(
    changes, status, said, tmp_path
):
    """With the status and the list of errors that the specification has."""
    async with app_town(tmp_path) as app:
        found, (error,) = await app.post(**REPORT | {"api_key": KEY} | changes)

        assert status == found == error["code"]
        assert said in error["description"]
        assert [] == await app.town.rows(schema.inbox)


async def test_lost_room_is_503_and_comes_again(tmp_path, monkeypatch):
    """What can't be stored isn't acknowledged."""
    async with app_town(tmp_path) as app:

        async def full(*args: object) -> int:
            raise StoreFull("no room")

        with monkeypatch.context() as patch:
            patch.setattr(app.town.gateway.inbox, "accept", full)
            url = f"{app.url}/requests.json"
            data = {**REPORT, "api_key": KEY}
            async with app.http.post(url, data=data) as response:
                assert 503 == response.status
        assert await app.number(await app.report())


@pytest.mark.parametrize("path", ["requests/{}.json", "tokens/{}.json"])
@pytest.mark.parametrize(
    "name", ["%00", "a%00b", "%ff", "%F0%9F%9A%A7", "%25", "a" * 999]
)
async def test_ids_that_no_database_takes_are_not_found(name, path, tmp_path, url):
    """404 on both databases."""
    async with app_town(tmp_path, url) as app:
        asked = f"{app.url}/{path.format(name)}?api_key={KEY}"
        async with app.http.get(URL(asked, encoded=True)) as response:
            assert 404 == response.status
        asked = f"{app.url}/requests.json?api_key={KEY}&service_request_id={name},b"
        async with app.http.get(URL(asked, encoded=True)) as response:
            assert (200, "[]") == (response.status, await response.text())


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"start_date": "2026-03-29"}, 400, "start_date"),
        ({"end_date": "2026-03-29T10:00:00"}, 400, "end_date"),
        ({"end_date": "0001-01-01T00:00:00Z"}, 400, "dates"),
        ({"start_date": "9999-12-31T23:59:59Z"}, 400, "dates"),
        (
            {"start_date": "2026-01-01T00:00:00Z", "end_date": "2026-04-02T00:00:00Z"},
            400,
            "90 days",
        ),
        ({"status": "rotto"}, 400, "status"),
        ({"service_code": "001,9"}, 404, "service_code"),
        ({"jurisdiction_id": "altrove"}, 404, "jurisdiction_id"),
    ],
)
async def test_filter_that_finds_nothing_ever_is_refused(query, status, said, tmp_path):
    """Whoever asks reads what is wrong with it."""
    async with app_town(tmp_path) as app:
        found, (error,) = await app.get("requests.json", **query)

        assert status == found == error["code"]
        assert said in error["description"]
