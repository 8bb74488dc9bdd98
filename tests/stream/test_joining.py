"""Which case a citizen's next message belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from small_city import City, small_city
from sqlalchemy import Connection, update
from test_instructions import a_day_passes, answered, reported, statuses
from test_standing import told

from gateway.model import Assignment, Message, ServiceId
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema


class Rules(Plugin[NoConfig]):
    """Knows holes for certain, and lamps less so."""

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        for word, sure in (("buca", 1.0), ("lampione", 0.5)):
            if word in message.text:
                service = ServiceId("strade")
                return Assignment(
                    service=service, reason=word, source="words", confidence=sure
                )
        return None


async def closed(city: City) -> str:
    """Let Anna report something and the URP close it; return the number."""
    reference = await reported(city)
    await answered(city, reference, "Chiuso.")
    return city.outside.handovers[0].case.number


async def long_closed(city: City, days: int) -> None:
    """Let all cases have been closed so many days ago."""

    def work(connection: Connection) -> None:
        at = datetime.now(UTC) - timedelta(days=days)
        connection.execute(update(schema.cases).values(closed_at=at))

    await city.gateway.store.run(work)


def numbers(city: City) -> list[str]:
    """Return to which case each hand-over belongs."""
    return [h.case.number[-1] for h in city.outside.handovers]


@pytest.mark.parametrize("by", ["reply", "number", "subject"])
async def test_answer_to_a_closed_case_reopens_it(tmp_path, url, by):
    """The office gets it as an addition, the citizen is told, it is on the record."""
    async with small_city(tmp_path, url=url) as city:
        number = await closed(city)
        said = {
            "reply": {"text": "c'è ancora", "references": ["m1"]},
            "number": {"text": f"{number} c'è ancora"},
            "subject": {"text": "c'è ancora", "subject": f"Re: [{number}]"},
        }[by]
        notice = await told(city, **said)

        assert ["1", "1"] == numbers(city)
        assert city.outside.handovers[1].addition
        assert [("urp", "reopened")] == await statuses(city)
        assert f"{number} è di nuovo aperta" in notice
        events = [e for e in await city.rows(schema.event) if "reop" in e.action]
        assert ["citizen"] == [each.actor for each in events]
        (case,) = await city.rows(schema.cases)
        assert case.closed_at is None


async def test_what_names_nothing_opens_another(tmp_path):
    """A closed case is not joined by time."""
    async with small_city(tmp_path) as city:
        await closed(city)
        await told(city, "un'altra buca")

        assert ["1", "2"] == numbers(city)


async def test_case_of_long_ago_stays_closed(tmp_path, url):
    """After the days that the city allows, an answer is a new matter."""
    async with small_city(tmp_path, url=url, gateway="reopen_days = 10") as city:
        await closed(city)
        await long_closed(city, 11)
        await told(city, "c'è ancora", references=["m1"])
        await long_closed(city, 9)
        await a_day_passed(city)
        await told(city, "c'è ancora", references=["m1"])

        assert ["1", "2", "1"] == numbers(city)


async def a_day_passed(city: City) -> None:
    await city.gateway.store.run(a_day_passes)


async def test_city_that_reopens_nothing(tmp_path):
    """With 0 days a closed case stays closed."""
    async with small_city(tmp_path, gateway="reopen_days = 0") as city:
        await closed(city)
        await told(city, "c'è ancora", references=["m1"])

        assert ["1", "2"] == numbers(city)


async def test_closed_case_of_somebody_else_stays_closed(tmp_path):
    """Who names another citizen's number opens a case of their own."""
    async with small_city(tmp_path) as city:
        number = await closed(city)
        await told(city, f"{number} c'è ancora", sender="bea")

        assert ["1", "2"] == numbers(city)
        assert ("urp", "closed") in await statuses(city)


@pytest.mark.parametrize(
    ("gateway", "text", "expected"),
    [
        ("", "una buca", ["1", "1"]),
        ("new_topic_confidence = 0.9", "una buca", ["1", "2"]),
        ("new_topic_confidence = 0.9", "un lampione", ["1", "1"]),
        ("new_topic_confidence = 0.9", "e poi", ["1", "1"]),
    ],
)
async def test_other_topic(tmp_path, url, gateway, text, expected):
    """It is a case of its own only where the city wants that, and a rule is sure."""
    async with small_city(tmp_path, Rules(), url=url, gateway=gateway) as city:
        await told(city, "buongiorno")
        await told(city, text)

        assert expected == numbers(city)


async def test_reply_goes_before_the_topic(tmp_path):
    """Who answers a message means its case, whatever the words."""
    async with small_city(
        tmp_path, Rules(), gateway="new_topic_confidence = 0.9"
    ) as city:
        await told(city, "buongiorno")
        await told(city, "anche una buca", references=["m1"])

        assert ["1", "1"] == numbers(city)


async def test_office_cannot_forward_what_is_closed(tmp_path):
    """Staff see the order instead."""
    async with small_city(tmp_path) as city:
        reference = await reported(city)
        await answered(city, reference, "Chiuso.")
        await answered(city, reference, "inoltrato a Strade")

        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        assert "closed" in held.reason
        assert [("urp", "closed")] == await statuses(city)
