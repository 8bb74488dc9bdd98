"""What can't be carried is offered for download: by a whole gateway, over HTTP."""

from __future__ import annotations

import re
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from small_city import Outside, small_city
from sqlalchemy import delete, select

from gateway.links import Links, Ticket
from gateway.store import schema

KEY = "sixteen characters and more"
LINKS = Links("http://localhost", KEY, 30, ZoneInfo("Europe/Rome"))
SECTION = """
[links]
base_url = "http://localhost:8080"
key = { env = "LINKS_KEY" }
"""
PAGE = b"<html><script>alert(1)</script></html>"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """The key of the city's links."""
    monkeypatch.setenv("LINKS_KEY", KEY)


async def get(city, url: str, method: str = "GET"):
    """Fetch a link from the gateway itself; return status, headers and body."""
    path = url.partition("/files/")[2]
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{city.url}/files/{path}") as response,
    ):
        return response.status, response.headers, await response.read()


async def say_with_file(city, **said) -> str:
    """Let a citizen send a page; return the link that the office got."""
    await city.say(text="ecco", files=["a"], **said)
    await city.settle()
    (enclosure,) = city.outside.handovers[-1].enclosures
    return enclosure.url


async def downloads(city) -> list:
    """Return what is on the record about downloads."""
    return [
        (row.subject, row.actor, row.data)
        for row in await city.rows(schema.event)
        if row.action == "attachment.downloaded"
    ]


async def test_office_downloads_what_it_was_given(tmp_path, url):
    """Saved, never shown: no type, no sniffing, no scripts; and on the record."""
    outside = Outside(files={"a": [PAGE]})
    async with small_city(tmp_path, outside=outside, url=url, sections=SECTION) as city:
        link = await say_with_file(city)
        status, headers, body = await get(city, link)

        (stored,) = await city.rows(schema.attachment)
        assert link.startswith("http://localhost:8080/files/")
        assert (200, PAGE) == (status, body)
        assert {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": "attachment; filename*=UTF-8''f",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, no-store",
        }.items() <= dict(headers).items()
        assert [(stored.message_id, "link", '{"position":0}')] == await downloads(city)


async def test_a_look_is_no_download(tmp_path):
    """What a mail scanner asks by HEAD takes nothing and is not on the record."""
    outside = Outside(files={"a": [PAGE]})
    async with small_city(tmp_path, outside=outside, sections=SECTION) as city:
        status, _, body = await get(city, await say_with_file(city), "HEAD")

        assert (200, b"") == (status, body)
        assert [] == await downloads(city)


async def test_erased_file_is_gone(tmp_path, url):
    """A link to what was deleted says so, and tells a stranger nothing more."""
    outside = Outside(files={"a": [PAGE]})
    async with small_city(tmp_path, outside=outside, url=url, sections=SECTION) as city:
        link = await say_with_file(city)
        await city.gateway.store.run(lambda c: c.execute(delete(schema.attachment)))
        status, _, body = await get(city, link)

        assert 404 == status
        assert "Il file non esiste o è stato cancellato.\n" == body.decode()
        assert [] == await downloads(city)


async def test_lost_file_is_gone(tmp_path):
    """So is one whose bytes are not on the disk any more."""
    outside = Outside(files={"a": [PAGE]})
    async with small_city(tmp_path, outside=outside, sections=SECTION) as city:
        link = await say_with_file(city)
        city.outside.handovers[0].enclosures[0].path.unlink()

        assert 404 == (await get(city, link))[0]
        assert [] == await downloads(city)


async def test_link_works_until_its_last_day(tmp_path):
    """Afterwards it is over, which is another word than unknown."""
    outside = Outside(files={"a": [PAGE]})
    async with small_city(tmp_path, outside=outside, sections=SECTION) as city:
        await say_with_file(city)
        (message_id,) = await city.gateway.store.read(
            lambda c: list(c.scalars(select(schema.attachment.c.message_id)))
        )
        today = date.today()  # noqa: DTZ011 (two days leave room for any zone)
        found = [
            (await get(city, LINKS.url(ticket)))[0]
            for ticket in (
                Ticket(message_id=message_id, position=0, last_day=today - 2 * DAY),
                Ticket(message_id=message_id, position=0, last_day=today + 2 * DAY),
                Ticket(message_id=message_id, position=1, last_day=today + 2 * DAY),
                Ticket(message_id="another", position=0, last_day=today + 2 * DAY),
            )
        ]

        assert [410, 200, 404, 404] == found


DAY = timedelta(days=1)


@pytest.mark.parametrize("token", ["x", "..%2f..%2fgateway.db", "WyJhIiwwXQ.AAAA"])
async def test_nobody_guesses_a_link(tmp_path, token):
    """What we have not signed is nothing."""
    async with small_city(tmp_path, sections=SECTION) as city:
        assert 404 == (await get(city, f"/files/{token}"))[0]


async def test_citizen_is_offered_what_the_channel_can_not_carry(tmp_path):
    """With its name and the last day, in the text; and it is the office's file."""
    outside = Outside(files={"a": [b"a film"]})
    async with small_city(tmp_path, outside=outside, sections=SECTION) as city:
        await city.say(text="altro")
        await city.settle()
        delivery_id = city.outside.handovers[0].delivery_id
        await city.say(
            "mail",
            sender="urp@office",
            text="Ecco.",
            references=[f"<{delivery_id}@office>"],
            files=["a"],
        )
        await city.settle()
        said = city.outside.notices[-1].text
        found = re.search(r"qui: f\. Può scaricarlo fino al (\S+): (\S+)\)", said)

        assert found
        assert re.fullmatch(r"\d\d/\d\d/\d{4}", found[1])
        assert b"a film" == (await get(city, found[2]))[2]


async def test_city_without_links_has_none(tmp_path):
    """Nothing is served, nothing is offered."""
    outside = Outside(files={"a": [PAGE]})
    async with small_city(tmp_path, outside=outside) as city:
        assert "" == await say_with_file(city)
        assert 404 == (await get(city, "/files/x"))[0]
