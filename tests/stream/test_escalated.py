"""What the office may say that was told of another's overdue case, and for how long."""

from __future__ import annotations

import pytest
from small_city import City, small_city
from test_deadlines import RULES, pass_time, reported
from test_instructions import statuses
from test_stream import Strict

from gateway.model import Urgency
from gateway.store import schema

CAPO, STRADE = "capo@office", "strade@office"


async def escalated(city: City) -> str:
    """Let a case be overdue, and another office know; return what that one got."""
    await reported(city)
    await pass_time(city, deadline=True)
    await city.settle()
    (told,) = [h for h in city.outside.handovers if h.urgency is Urgency.ESCALATION]
    return f"<{told.delivery_id}@office>"


async def say(city: City, sender: str, text: str, reference: str) -> None:
    """Let an office answer."""
    await city.say("mail", sender=sender, text=text, references=[reference])
    await city.settle()


async def held(city: City) -> list[str]:
    """Return why answers are held."""
    rows = await city.rows(schema.message)
    return [row.reason for row in rows if row.state == "held"]


async def test_it_answers_for_the_other(tmp_path, url):
    """The citizen reads who says it; the case stays with its office, answered."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        reference = await escalated(city)
        await say(city, CAPO, "Ci scusiamo: domani.", reference)

        told = city.outside.notices[-1]
        assert ("answer", "anna") == (told.purpose, told.to.value)
        assert "Segreteria" in told.text
        assert "Strade" not in told.text
        assert [("strade", "answered")] == await statuses(city)
        events = await city.rows(schema.event)
        by = [e.actor for e in events if e.action == "case.answered"]
        assert ["service:capo"] == by


@pytest.mark.parametrize(
    ("text", "stands"),
    [("chiuso", ("strade", "closed")), ("inoltrato a verde", ("verde", "assigned"))],
)
async def test_it_may_close_or_forward_the_case(tmp_path, text, stands):
    """As the office that has it."""
    async with small_city(tmp_path, Strict(), sections=RULES) as city:
        reference = await escalated(city)
        await city.say("mail", sender=CAPO, text=text, references=[reference])
        await city.settle(waiting=int(stands[1] == "assigned"))

        assert [] == await held(city)
        assert [stands] == await statuses(city)


@pytest.mark.parametrize("first", ["Fatto.", "chiuso", "inoltrato a verde"])
async def test_not_once_it_is_settled(tmp_path, url, first):
    """What it says after the other office has acted waits for staff."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        reference = await escalated(city)
        handed = f"<{city.outside.handovers[0].delivery_id}@office>"
        await city.say("mail", sender=STRADE, text=first, references=[handed])
        await city.settle(waiting=int("verde" in first))
        told = len(city.outside.notices)
        await city.say("mail", sender=CAPO, text="Ancora io.", references=[reference])
        await city.settle(waiting=int("verde" in first))

        assert told == len(city.outside.notices)
        assert ["the case has gone to another office since"] == await held(city)


async def test_not_of_a_new_deadline(tmp_path):
    """Answered, and asked again: the old alarm is over, the new one has not come."""
    async with small_city(tmp_path, Strict(), sections=RULES) as city:
        reference = await escalated(city)
        handed = f"<{city.outside.handovers[0].delivery_id}@office>"
        await say(city, STRADE, "Fatto.", handed)
        await city.say(text="No!")
        await city.settle(waiting=1)
        await city.say("mail", sender=CAPO, text="Ma sì.", references=[reference])
        await city.settle(waiting=1)

        assert 1 == len(await held(city))


@pytest.mark.parametrize("sender", ["verde@office", "anna", "capo@elsewhere"])
async def test_nobody_else_may(tmp_path, sender):
    """Who only knows the alarm's id speaks for nobody."""
    async with small_city(tmp_path, Strict(), sections=RULES) as city:
        reference = await escalated(city)
        told = len(city.outside.notices)
        await say(city, sender, "chiuso", reference)

        assert told == len(city.outside.notices)
        assert [("strade", "assigned")] == await statuses(city)
