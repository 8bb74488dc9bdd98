"""The story of design.md §9 by webhook and by folder, and what must never happen."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from delivery_town import town
from gateway_delivery import signature
from office_server import office_server
from standardwebhooks.webhooks import Webhook

from gateway import failpoints
from gateway.store import schema

FIXTURES = Path(__file__).parent / "fixtures"
STRADE = "whsec_" + base64.b64encode(b"s" * 32).decode()
RIFIUTI = "whsec_" + base64.b64encode(b"r" * 32).decode()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each story is told on both databases."""
    if request.param == "sqlite":
        return "sqlite:///gateway.db"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def offices(monkeypatch):
    """Configure an office that is reached by webhook."""
    monkeypatch.setenv("STRADE", STRADE)
    monkeypatch.setenv("RIFIUTI", RIFIUTI)

    def make(address: str, whose: str = "STRADE") -> str:
        keys = f'secrets = [{{ env = "{whose}" }}], timeout = 2'
        return f'{{ type = "webhook", url = "{address}", {keys} }}'

    return make


def signed(body: bytes, secret: str = STRADE, webhook_id: str = "a1") -> dict[str, str]:
    """Sign as an office's system does, by the reference library."""
    at = datetime.now(UTC)
    return {
        signature.ID: webhook_id,
        signature.TIMESTAMP: str(int(at.timestamp())),
        signature.SIGNATURE: Webhook(secret).sign(webhook_id, at, body.decode()),
    }


async def post(address: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    """Post an answer; return status and text."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(address, data=body, headers=headers) as response,
    ):
        return response.status, await response.text()


def answer(name: str) -> bytes:
    """Read an answer of ``fixtures/``."""
    body = json.loads((FIXTURES / "answers" / f"{name}.json").read_bytes())
    number = f"URP-{datetime.now(UTC).year}-000001"
    return json.dumps(body | {"case": number}, ensure_ascii=False).encode()


async def test_answer_of_the_offices_system_reaches_the_citizen(offices, tmp_path, url):
    """Out as an event, back as a signed answer, twice posted and read once; closed."""
    async with (
        office_server() as office,
        town(
            tmp_path, offices(office.url), offices(office.url, "RIFIUTI"), url
        ) as city,
    ):
        await city.say("una buca")
        await city.settle()
        event = Webhook(STRADE).verify(
            office.requests[0].body, office.requests[0].headers
        )
        assert "una buca" == event["data"]["message"]["text"]

        body = answer("answered")
        for _ in range(2):
            status, _ = await post(f"{city.url}/strade", body, signed(body))
            assert 202 == status
        await city.settle()
        body = answer("closed")
        await post(f"{city.url}/strade", body, signed(body, webhook_id="a2"))
        await city.settle()

        first, last = city.told()
        assert "Ripariamo la buca domani mattina." in first
        assert "La buca è stata riparata." in last
        assert "è chiusa" in last
        assert ["closed"] == [row.status for row in await city.rows(schema.cases)]


async def test_words_of_a_system_are_no_order(offices, tmp_path):
    """Its status says what is to be done; its text is the citizen's to read."""
    async with (
        office_server() as office,
        town(tmp_path, offices(office.url), offices(office.url, "RIFIUTI")) as city,
    ):
        await city.say("una buca")
        await city.settle()
        body = answer("looks_like_an_order")
        await post(f"{city.url}/strade", body, signed(body))
        await city.settle()

        (told,) = city.told()
        assert "Chiuso\n\nper ferie" in told
        assert "è chiusa" not in told
        assert ["answered"] == [row.status for row in await city.rows(schema.cases)]


async def test_case_handed_on_goes_to_the_other_office(offices, tmp_path):
    """The other office gets it, and speaks for it from then on; the first no more."""
    async with (
        office_server() as office,
        town(tmp_path, offices(office.url), offices(office.url, "RIFIUTI")) as city,
    ):
        await city.say("un cassonetto")
        await city.settle()
        body = answer("handed_on")
        await post(f"{city.url}/strade", body, signed(body))
        await city.settle()

        assert ["rifiuti"] == [row.service for row in await city.rows(schema.cases)]
        told = len(city.told())
        body = answer("answered")
        await post(f"{city.url}/strade", body, signed(body, webhook_id="a2"))
        await city.settle()
        assert told == len(city.told())
        await post(f"{city.url}/rifiuti", body, signed(body, RIFIUTI))
        await city.settle()
        assert told + 1 == len(city.told())


async def test_office_speaks_only_of_its_own_cases(offices, tmp_path, url):
    """A case it never had, or that nobody has: kept for staff, no citizen reads it."""
    async with (
        office_server() as office,
        town(
            tmp_path, offices(office.url), offices(office.url, "RIFIUTI"), url
        ) as city,
    ):
        await city.say("una buca")
        await city.settle()
        body = answer("answered")
        unknown = body.replace(b"000001", b"000999")
        assert (
            202 == (await post(f"{city.url}/rifiuti", body, signed(body, RIFIUTI)))[0]
        )
        assert 202 == (await post(f"{city.url}/strade", unknown, signed(unknown)))[0]
        await city.settle()

        assert [] == city.told()
        assert 1 == len(await city.rows(schema.cases))
        letters = await city.rows(schema.dead_letter)
        assert ["not_its_case"] * 2 == [letter.code for letter in letters]


async def test_who_does_not_know_the_secret_is_not_heard(offices, tmp_path):
    """Unsigned, of another office, for nobody, or our own event sent back: refused."""
    async with (
        office_server() as office,
        town(tmp_path, offices(office.url), offices(office.url, "RIFIUTI")) as city,
    ):
        await city.say("una buca")
        await city.settle()
        body = answer("answered")
        event = office.requests[0]
        mine = {key: event.headers[key] for key in signed(b"")}
        answers = [
            await post(f"{city.url}/strade", body, {}),
            await post(f"{city.url}/strade", body, signed(body, RIFIUTI)),
            await post(f"{city.url}/nobody", body, signed(body)),
            await post(f"{city.url}/strade", event.body, mine),
            await post(f"{city.url}/%00%0a{'x' * 500}", body, signed(body)),
        ]
        await city.settle()

        assert [401, 401, 401, 400, 401] == [status for status, _ in answers]
        assert [] == city.told()
        assert 1 == len(await city.rows(schema.inbox))


async def test_strange_octets_in_headers_are_no_fault(offices, tmp_path):
    """Beside a good signature, another of octets that are no text: accepted."""
    there = offices("http://127.0.0.1:1/x")
    async with town(tmp_path, there, there) as city:
        body = answer("answered")
        headers = signed(body)
        headers[signature.SIGNATURE] += " v1,\udce8\udcff"
        raw = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", city.gateway.port)
        head = f"POST /channels/sistemi/answers/strade HTTP/1.1\r\nHost: x\r\n{raw}"
        head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode("utf-8", "surrogateescape") + body)
        said = await reader.readline()
        writer.close()

        assert b"202" in said


@pytest.mark.parametrize("file", sorted((FIXTURES / "refused").glob("*.json")), ids=str)
async def test_what_is_no_answer_is_refused_with_the_reason(file, offices, tmp_path):
    """4xx that names the path; nothing is stored."""
    async with town(
        tmp_path, offices("http://127.0.0.1:1/x"), offices("http://127.0.0.1:1/x")
    ) as city:
        body = file.read_bytes()
        status, text = await post(f"{city.url}/strade", body, signed(body))

        assert 400 == status
        assert file.with_suffix(".txt").read_text().strip() in text
        assert [] == await city.rows(schema.inbox)


async def test_file_of_an_answer_reaches_the_citizen(offices, tmp_path):
    """It came within the answer, and goes on as a file."""
    async with (
        office_server() as office,
        town(tmp_path, offices(office.url), offices(office.url)) as city,
    ):
        await city.say("una buca")
        await city.settle()
        body = answer("with_file")
        await post(f"{city.url}/strade", body, signed(body))
        await city.settle()

        (sent,) = city.notices[-1].enclosures
        assert ("ricevuta.txt", b"ciao") == (sent.name, sent.path.read_bytes())


def folders(tmp_path: Path) -> list[str]:
    """Make the offices' folders; return their connectors."""
    paths = [tmp_path / name for name in ("strade", "rifiuti")]
    for path in paths:
        path.mkdir()
    return [f'{{ type = "maildrop", path = "{p}", answers = true }}' for p in paths]


async def test_answer_laid_down_as_a_file_reaches_the_citizen(tmp_path, url):
    """Half of it waits, the whole is taken, once, and put away."""
    drop = tmp_path / "strade" / "answers"
    async with town(tmp_path, *folders(tmp_path), url=url) as city:
        await city.say("una buca")
        await city.settle()
        await city.until(drop.is_dir)
        body, file = answer("answered"), drop / "a.json"
        file.write_bytes(body[:30])
        await asyncio.sleep(0.2)
        assert file.exists()
        file.write_bytes(body)
        await city.until(lambda: bool(city.told()))
        await city.settle()

        assert ["accepted"] == [each.name for each in drop.iterdir()]
        assert [body] == [each.read_bytes() for each in (drop / "accepted").iterdir()]
        assert 1 == len(city.told())


async def test_answer_file_that_could_not_be_put_away_is_read_once(tmp_path):
    """Stored, then a crash: it is found again, and is the same."""

    def fail(name: str) -> None:
        raise RuntimeError(name)

    drop = tmp_path / "strade" / "answers"
    failpoints.arm("maildrop.before_put_away", fail)
    try:
        async with town(tmp_path, *folders(tmp_path)) as city:
            await city.say("una buca")
            await city.settle()
            await city.until(drop.is_dir)
            (drop / "a.json").write_bytes(answer("answered"))
            await city.until(lambda: bool(city.told()))
            failpoints.disarm()
            await city.until(lambda: not (drop / "a.json").exists())
            await city.settle()

            assert 1 == len(city.told())
    finally:
        failpoints.disarm()


async def test_link_is_not_followed(tmp_path):
    """What lies elsewhere is no answer, whoever made the link."""
    secret = tmp_path / "secret.json"
    secret.write_bytes(answer("answered"))
    drop = tmp_path / "strade" / "answers"
    async with town(tmp_path, *folders(tmp_path)) as city:
        await city.say("una buca")
        await city.settle()
        await city.until(drop.is_dir)
        (drop / "a.json").symlink_to(secret)
        await asyncio.sleep(0.3)

        assert [] == city.told()
        assert secret.exists()


async def taken(drop, seconds: float = 3) -> bool:
    """Wait until no answer lies in the folder; tell whether that came."""
    for _ in range(int(seconds * 20)):
        await asyncio.sleep(0.05)
        if not [file for file in drop.iterdir() if file.suffix == ".json"]:
            return True
    return False


async def test_the_same_order_in_the_same_file_counts_again(tmp_path):
    """Closed, reopened by the citizen's word, closed again by the same file."""
    drop = tmp_path / "strade" / "answers"
    async with town(tmp_path, *folders(tmp_path)) as city:
        await city.say("una buca")
        await city.settle()
        await city.until(drop.is_dir)
        (row,) = await city.rows(schema.cases)
        answer = json.dumps({"case": row.number, "status": "closed"})

        async def status() -> str:
            (row,) = await city.rows(schema.cases)
            return row.status

        async def close() -> None:
            (drop / f"{row.number}.json").write_text(answer)
            assert await taken(drop)
            await city.settle()

        await close()
        assert "closed" == await status()
        await city.say(f"{row.number} la buca c'è ancora")
        await city.settle()
        assert "reopened" == await status()
        await close()
        assert "closed" == await status()


async def test_a_file_with_an_odd_name_stops_nobody(tmp_path):
    """Its name is no UTF-8, as old shares write it: the other office is heard."""
    drop, other = tmp_path / "rifiuti" / "answers", tmp_path / "strade" / "answers"
    async with town(tmp_path, *folders(tmp_path)) as city:
        await city.say("una buca")
        await city.settle()
        (row,) = await city.rows(schema.cases)
        await city.until(lambda: drop.is_dir() and other.is_dir())
        answer = json.dumps({"case": row.number, "text": "Fatto."}).encode()
        for folder in (drop, other):
            (folder / os.fsdecode(b"a-perch\xe8.json")).write_bytes(answer)
        (other / "z.json").write_bytes(answer)
        assert await taken(other)
        await city.until(lambda: bool(city.told()))
