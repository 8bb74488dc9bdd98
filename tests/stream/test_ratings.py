"""How content citizens are, asked once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from small_city import City, small_city
from sqlalchemy import update
from test_instructions import URP, answered, statuses
from test_staff import do, linked, reference
from test_standing import number_of, told

from gateway import closing
from gateway import ratings as reading
from gateway.model import Address, ChannelId, Message, MessageId
from gateway.store import schema

ASKS = "ask_satisfaction = true"


async def asked(city: City, **said: object) -> str:
    """Let Anna report something and staff close it; return the number."""
    number = await number_of(city, "una buca", **said)
    await do(city, closing.close, number)
    return number


async def ratings(city: City) -> list[int | None]:
    """Return what each case got."""
    rows = await city.rows(schema.cases)
    return [row.rating for row in sorted(rows, key=lambda row: row.number)]


async def test_nobody_is_asked_unless_the_city_wants_it(tmp_path):
    """It is off."""
    async with small_city(tmp_path) as city:
        await asked(city)

        assert "soddisfatto" not in city.outside.notices[-1].text


@pytest.mark.parametrize("text", ["4", " 4! ", "Voto: 4", "4/5", "4 stelle", "4 su 5"])
async def test_number_is_stored_and_thanked_once(tmp_path, url, text):
    """It opens no case, no office gets it, and the last word counts."""
    async with small_city(tmp_path, url=url, gateway=ASKS) as city:
        await asked(city)
        assert "da 1" in city.outside.notices[-1].text
        thanks = await told(city, text)
        again = await told(city, "2")

        assert "Grazie" in thanks
        assert "" == again
        assert [2] == await ratings(city)
        assert 1 == len(city.outside.handovers)
        assert [("urp", "closed")] == await statuses(city)


async def test_choice_from_the_menu(tmp_path, url):
    """Where one can choose there are five options, and the choice names its case."""
    async with small_city(tmp_path, url=url, gateway=ASKS) as city:
        await asked(city, channel="album")
        question = city.outside.notices[-1]
        await asked(city, channel="album")
        option = question.menu.options[0]
        refers = [f"sent-{question.delivery_id}"]
        await told(
            city, option.title, channel="album", choice=option.id, references=refers
        )

        assert 5 == len(question.menu.options)
        assert [5, None] == await ratings(city)


async def test_more_words_are_kept_and_go_nowhere(tmp_path, url):
    """They stand with the case; the citizen is told what to do for anything else."""
    async with small_city(tmp_path, url=url, gateway=ASKS) as city:
        number = await asked(city)
        thanks = await told(city, "5\nbravissimi")

        assert f"con la {number}" in thanks
        assert 1 == len(city.outside.handovers)
        kept = [m for m in await city.rows(schema.message) if "bravissimi" in m.body]
        (case,) = await city.rows(schema.cases)
        assert [case.id] == [m.case_id for m in kept]


@pytest.mark.parametrize("text", ["3 buche in via Roma", "6", "0", "via Roma 4"])
async def test_report_that_begins_with_a_number(tmp_path, text):
    """It is a report like any other."""
    async with small_city(tmp_path, gateway=ASKS) as city:
        await asked(city)
        await told(city, text)

        assert [None, None] == await ratings(city)


async def test_number_that_an_office_asked_for(tmp_path, url):
    """It answers the office, not the older question."""
    async with small_city(tmp_path, url=url, gateway=ASKS) as city:
        await asked(city)
        await told(city, "dei lampioni")
        await city.say(sender=URP, text="Quanti?", references=[reference(city)])
        await city.settle()
        await told(city, "4")

        assert [None, None] == await ratings(city)
        assert "4" == city.outside.handovers[-1].message.text


async def test_number_long_after(tmp_path):
    """After two weeks it may mean anything."""
    async with small_city(tmp_path, gateway=ASKS) as city:
        await asked(city)
        long_ago = datetime.now(UTC) - timedelta(days=15)
        values = update(schema.cases).values(asked_at=long_ago)
        await city.gateway.store.run(lambda c: c.execute(values))
        await told(city, "4")

        assert [None, None] == await ratings(city)


async def test_nobody_rates_the_cases_of_others(tmp_path):
    """A choice counts in its own conversation only."""
    async with small_city(tmp_path, gateway=ASKS) as city:
        number = await asked(city)
        await told(city, "5", sender="bea", choice=f"rating:{number}:5")

        assert [None, None] == await ratings(city)


async def test_case_closed_twice_is_asked_about_once(tmp_path):
    """No reminder, whatever happens."""
    async with small_city(tmp_path, gateway=ASKS) as city:
        number = await asked(city)
        await do(city, closing.reopen, number)
        await do(city, closing.close, number)

        asked_for = [n for n in city.outside.notices if n.purpose == "rating"]
        assert 1 == len(asked_for)


async def test_all_that_are_told_are_asked(tmp_path):
    """The citizens of duplicates, too, each about their own case."""
    async with small_city(tmp_path, gateway=ASKS) as city:
        hers, theirs = await linked(city)
        await answered(city, reference(city, 0), "Chiuso.")

        asked_for = {
            n.to.value: n.text for n in city.outside.notices if n.purpose == "rating"
        }
        assert hers in asked_for["anna"]
        assert theirs in asked_for["bea"]


def test_a_hostile_number_is_read_at_once():
    """``voto``, very many blanks, and no number: it once took minutes."""
    at = datetime.now(UTC)
    message = Message(
        id=MessageId("1"),
        channel=ChannelId("mail"),
        external_id="1",
        sender=Address("mailto", "a@b.it"),
        sent_at=at,
        received_at=at,
        text="voto" + " " * 1_000_000 + "x",
    )

    assert reading.read(message) is None
