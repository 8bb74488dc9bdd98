"""What stops the clock of a deadline, and what nobody is told of any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from small_city import UNREACHABLE, City, small_city
from test_deadlines import RULES, pass_time, reported, urged
from test_questions import Asking
from test_stream import Strict

from gateway import closing, deadlines
from gateway.app import Parts
from gateway.store import schema
from gateway.testing.kit import ManualClock


async def deadline(city: City) -> datetime | None:
    """Return by when the only case is due."""
    (case,) = await city.rows(schema.cases)
    return case.deadline_at


async def withdrawn(city: City) -> list[str]:
    """Return why deliveries were not sent."""
    rows = await city.rows(schema.delivery)
    return [row.code for row in rows if row.state == "passed_on"]


async def test_it_stands_still_while_the_citizen_is_asked(tmp_path):
    """Three days for the choice, and only then ten working hours for the office."""
    clock = ManualClock(at=datetime(2026, 11, 27, 12, tzinfo=UTC))
    week = "".join(
        f'{day} = ["08:00-14:00"]\n' for day in ("monday", "tuesday", "friday")
    )
    async with small_city(
        tmp_path,
        Asking(timedelta(days=3)),
        sections=f"{RULES}[hours]\n{week}",
        parts=Parts(clock=clock),
        gateway='timezone = "Etc/UTC"',
    ) as city:
        await city.say(channel="album", text="c'è un problema")
        await city.settle(waiting=2)

        # Asked until Monday noon: two hours are left of that day, six of Tuesday's.
        assert datetime(2026, 12, 4, 10, tzinfo=UTC) == await deadline(city)
        near = [j for j in await city.rows(schema.job) if j.queue == deadlines.NEAR]
        assert [datetime(2026, 12, 1, 12, tzinfo=UTC)] == [job.due_at for job in near]


async def answer(city: City, text: str = "Fatto.") -> None:
    """Let the office answer what it got first, and the citizen read it."""
    before = len(city.outside.notices)
    handed = f"<{city.outside.handovers[0].delivery_id}@office>"
    await city.say("mail", sender="strade@office", text=text, references=[handed])
    await city.until(lambda: len(city.outside.notices) > before)


async def hindered(city: City, *, deadline: bool) -> None:
    """Let the office be told of its deadline, and nothing get through to it."""
    city.outside.office_faults += [UNREACHABLE] * 1000
    await pass_time(city, deadline=deadline)
    await city.until(lambda: len(city.outside.office_faults) < 1000)


@pytest.mark.parametrize("ending", ["Fatto.", "chiuso", "by staff"])
async def test_nobody_is_reminded_of_what_is_done(tmp_path, url, ending):
    """A reminder that could not get through before the answer never does."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        await reported(city)
        await hindered(city, deadline=False)
        if ending == "by staff":
            run, town = city.gateway.store.run, city.gateway.city
            (case,) = await city.rows(schema.cases)
            await run(lambda c: closing.close(c, case.number, town, by="staff:test"))
        else:
            await answer(city, ending)
        city.outside.office_faults.clear()
        await city.settle()

        assert [] == urged(city)
        assert ["not_due"] == await withdrawn(city)


@pytest.mark.parametrize("asks", [False, True])
async def test_nobody_hears_of_an_overdue_case_that_is_done(tmp_path, asks):
    """An answer that comes before the escalation ends it; a new deadline is another."""
    async with small_city(tmp_path, Strict(), sections=RULES) as city:
        await reported(city)
        await hindered(city, deadline=True)
        await answer(city)
        if asks:
            await city.say(text="E quando?")
        city.outside.office_faults.clear()
        await city.settle(waiting=int(asks))

        assert [] == urged(city)
        assert ["not_due"] == await withdrawn(city)


async def test_more_from_the_citizen_is_due_again(tmp_path, url):
    """An answered case comes back to its office, on the record, with a new deadline."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        await reported(city)
        await answer(city)
        await city.settle()
        await city.say(text="No, c'è ancora")
        await city.say(text="Venite a vedere")
        await city.settle(waiting=1)

        (case,) = await city.rows(schema.cases)
        assert "assigned" == case.status
        assert case.deadline_at is not None
        events = [
            (row.action, row.actor)
            for row in await city.rows(schema.event)
            if row.action in {"case.answered", "case.unanswered", "case.deadline"}
        ]
        due = ("case.deadline", "gateway")
        assert [
            due,
            ("case.answered", "service:strade"),
            ("case.unanswered", "citizen"),
            due,
        ] == events
        await answer(city, "Mandiamo qualcuno.")
        await city.settle()
        assert [("answered", None)] == [
            (row.status, row.deadline_at) for row in await city.rows(schema.cases)
        ]


@pytest.mark.parametrize(
    "said",
    [
        {"text": "Sono in ferie", "automatic": True},
        {"text": "👍", "amends": "m1", "amendment": "reaction"},
        {"text": "una buca grande", "amends": "m1", "amendment": "edit"},
        {"text": "stato"},
        {"text": "Grazie mille!"},
    ],
    ids=lambda said: said["text"],
)
async def test_what_asks_nothing_brings_nothing_back(tmp_path, said):
    """Machines, signs, corrections, thanks, and what is for the gateway itself."""
    async with small_city(tmp_path, Strict(), sections=RULES) as city:
        await reported(city)
        await answer(city)
        await city.settle()
        await city.say(**said)
        await city.settle()

        assert ["answered"] == [row.status for row in await city.rows(schema.cases)]


async def test_what_was_held_is_due_when_it_is_released(tmp_path):
    """Only what staff let go on is said in the case."""
    async with small_city(tmp_path, Strict(), sections=RULES) as city:
        await reported(city)
        await answer(city)
        await city.settle()
        await city.say(text="brutto")
        await city.settle()
        before = [row.status for row in await city.rows(schema.cases)]
        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        release = city.gateway.recorder.release
        await city.gateway.store.run(lambda c: release(c, held.id, "staff:test"))
        await city.settle(waiting=1)

        assert ["answered"] == before
        assert ["assigned"] == [row.status for row in await city.rows(schema.cases)]
