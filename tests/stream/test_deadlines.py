"""Deadlines of cases: reminders, escalations, and what ends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from small_city import City, Outside, small_city
from sqlalchemy import Connection, update
from test_questions import Asking
from test_stream import Strict

from gateway import closing, correcting, deadlines, merging
from gateway.app import Parts
from gateway.model import Urgency
from gateway.store import schema
from gateway.testing.kit import ManualClock

RULES = """
[deadlines]
deadline_hours = 10
remind_before_hours = 4
escalate_to = "capo"
[services.capo]
name = "Segreteria"
connectors = [{ type = "office" }]
[services.verde]
name = "Verde"
connectors = [{ type = "office" }]
deadline_hours = 20
"""
DAY = timedelta(days=1)


async def reported(city: City, text: str = "buca") -> None:
    """Let a citizen report something, and its office get it."""
    await city.say(text=text)
    await city.settle(waiting=1)


async def watched(city: City) -> list[str]:
    """Return the queues in which deadlines wait."""
    rows = await city.rows(schema.job)
    return [row.queue for row in rows if row.queue.startswith("deadlines-")]


async def pass_time(city: City, *, deadline: bool) -> None:
    """Let the waiting reminder come due, or the deadline itself."""

    def work(connection: Connection) -> None:
        now = datetime.now(UTC)
        ago = now - timedelta(minutes=1)
        if deadline:
            past = ago.replace(microsecond=0)
            connection.execute(update(schema.cases).values(deadline_at=past))
        connection.execute(
            update(schema.job).where(schema.job.c.state == "waiting").values(due_at=ago)
        )

    await city.gateway.store.run(work)


async def actions(city: City) -> list[str]:
    """Return what the trail says of deadlines."""
    rows = await city.rows(schema.event)
    told = {"case.deadline", "case.reminded", "case.overdue"}
    return [row.action for row in rows if row.action in told]


def urged(city: City) -> list[tuple]:
    """Return who was told of a deadline, and how."""
    return [(h.service, h.urgency) for h in city.outside.handovers if h.urgency]


async def test_reminded_then_escalated(tmp_path, url):
    """The service hears before the deadline, the other after it; each once."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        await reported(city)
        before = await watched(city)
        await pass_time(city, deadline=False)
        await city.until(lambda: len(urged(city)) == 1)
        await city.settle(waiting=1)
        between = await watched(city)
        await pass_time(city, deadline=True)
        await city.settle()

        assert ([deadlines.NEAR], [deadlines.PASSED]) == (before, between)
        assert [
            ("strade", Urgency.REMINDER),
            ("capo", Urgency.ESCALATION),
        ] == urged(city)
        first, second = (h for h in city.outside.handovers if h.urgency)
        assert (True, False) == (first.addition, second.addition)
        assert first.message.text.startswith("PROMEMORIA: alla segnalazione URP-2026-")
        assert first.message.text.endswith("\n\nbuca")
        assert "SCADUTA" in second.message.text
        assert second.message.text.endswith("È all'ufficio: Strade.\n\nbuca")
        assert ["case.deadline", "case.reminded", "case.overdue"] == await actions(city)
        monitor, metrics = city.gateway.monitor, city.gateway.metrics
        await monitor.refresh_metrics()
        value = metrics.registry.get_sample_value
        assert 1 == value("gateway_cases_overdue", {"service": "strade"})
        assert [1, 1] == [
            value("gateway_deadlines_total", {"service": "strade", "result": result})
            for result in ("near", "passed")
        ]


async def test_restarts_change_nothing(tmp_path, url):
    """What waits is in the database: another start reminds, a third escalates."""
    outside = Outside()
    story = {"url": url, "sections": RULES, "outside": outside}
    async with small_city(tmp_path, Strict(), **story) as city:
        await reported(city)
        await pass_time(city, deadline=False)
    async with small_city(tmp_path, Strict(), **story) as city:
        await city.until(lambda: len(urged(city)) == 1)
        await city.settle(waiting=1)
        await pass_time(city, deadline=True)
    async with small_city(tmp_path, Strict(), **story) as city:
        await city.until(lambda: len(urged(city)) == 2)
        await city.settle()

        assert ["case.deadline", "case.reminded", "case.overdue"] == await actions(city)


async def test_two_nodes_tell_once(tmp_path, postgresql):
    """Whichever node is first: one reminder and one escalation for each case."""
    outside = Outside()
    story = {"url": postgresql, "sections": RULES, "outside": outside}
    (tmp_path / "b").mkdir()
    async with (
        small_city(tmp_path, Strict(), **story) as city,
        small_city(tmp_path / "b", Strict(), **story),
    ):
        for number in range(5):
            await city.say(text="buca", sender=f"citizen{number}")
        await city.settle(waiting=5)
        await pass_time(city, deadline=False)
        await city.until(lambda: len(urged(city)) >= 5)
        await city.settle(waiting=5)
        await pass_time(city, deadline=True)
        await city.until(lambda: len(urged(city)) >= 10)
        await city.settle()

        assert [("capo", Urgency.ESCALATION)] * 5 + [
            ("strade", Urgency.REMINDER)
        ] * 5 == sorted(urged(city))
        assert 5 == (await actions(city)).count("case.overdue")


async def test_nobody_is_reminded_of_what_has_passed(tmp_path, url):
    """After a long stop only the escalation goes out."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        await reported(city)
        await pass_time(city, deadline=True)
        await city.settle()

        assert [("capo", Urgency.ESCALATION)] == urged(city)


@pytest.mark.parametrize("text", ["Fatto.", "chiuso"])
async def test_an_answer_ends_it(tmp_path, url, text):
    """Answered or closed, a case has no deadline any more."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        await reported(city)
        handed = city.outside.handovers[0].delivery_id
        await city.say(
            "mail",
            sender="strade@office",
            text=text,
            references=[f"<{handed}@office>"],
        )
        await city.settle()

        assert [None] == [row.deadline_at for row in await city.rows(schema.cases)]
        assert [] == urged(city)


async def test_moved_to_another_service(tmp_path, url):
    """A new deadline by the new service's rule; that of the old one is over."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        await reported(city)
        (before,) = await city.rows(schema.cases)
        handed = city.outside.handovers[0].delivery_id
        await city.say(
            "mail",
            sender="strade@office",
            text="inoltrato a verde",
            references=[f"<{handed}@office>"],
        )
        await city.settle(waiting=1)
        (after,) = await city.rows(schema.cases)
        await pass_time(city, deadline=True)
        await city.settle()

        assert ("strade", "verde") == (before.service, after.service)
        more = after.deadline_at - before.deadline_at
        assert timedelta(hours=10) <= more < timedelta(hours=10, minutes=1)
        assert [("capo", Urgency.ESCALATION)] == urged(city)
        assert ["case.deadline"] * 2 + ["case.overdue"] == await actions(city)


async def test_opened_again(tmp_path, url):
    """What the citizen has to add to a closed case is due anew."""
    async with small_city(
        tmp_path, Strict(), url=url, sections=RULES, gateway="reopen_days = 9"
    ) as city:
        await reported(city)
        handed = city.outside.handovers[0].delivery_id
        await city.say(
            "mail",
            sender="strade@office",
            text="chiuso",
            references=[f"<{handed}@office>"],
        )
        await city.settle()
        closing = city.outside.notices[-1].delivery_id
        await city.say(text="C'è ancora!", references=[f"sent-{closing}"])
        await city.settle(waiting=1)

        (case,) = await city.rows(schema.cases)
        assert "reopened" == case.status
        assert case.deadline_at is not None
        assert [deadlines.NEAR] == await watched(city)


async def test_staff_move_split_and_reopen(tmp_path, url):
    """What staff do begins a deadline where an office has something to answer."""
    async with small_city(tmp_path, Strict(), url=url, sections=RULES) as city:
        await reported(city)
        await city.say(text="e un lampione")
        await city.settle(waiting=1)
        (case,) = await city.rows(schema.cases)
        said = [m for m in await city.rows(schema.message) if m.author == "citizen"]
        run, town = city.gateway.store.run, city.gateway.city
        await run(
            lambda c: correcting.move(c, case.number, "verde", town, by="staff:test")
        )
        await city.settle(waiting=1)
        other = await run(
            lambda c: merging.split(
                c, case.number, [said[-1].id], town, by="staff:test"
            )
        )
        await city.settle(waiting=2)
        await run(lambda c: closing.close(c, other, town, by="staff:test"))
        await city.settle(waiting=1)
        closed = await watched(city)
        await run(lambda c: closing.reopen(c, other, town, by="staff:test"))
        await city.settle(waiting=2)

        assert 1 == len(closed)
        assert ["case.deadline"] * 4 == await actions(city)
        rows = {row.number: row for row in await city.rows(schema.cases)}
        assert [True, True] == [row.deadline_at is not None for row in rows.values()]


async def test_chosen_by_the_citizen(tmp_path):
    """The clock of the service runs from when it gets the case."""
    async with small_city(tmp_path, Asking(), sections=RULES) as city:
        await city.say(channel="album", text="c'è un problema")
        await city.settle(waiting=2)
        question = f"sent-{city.outside.notices[-1].delivery_id}"
        await city.say(
            channel="album", text="Strade", choice="s", references=[question]
        )
        await city.settle(waiting=1)

        assert ["case.deadline", "case.deadline"] == await actions(city)
        assert [deadlines.NEAR] == await watched(city)


async def test_counted_in_working_hours(tmp_path):
    """Friday evening and ten hours: by Tuesday, with a reminder on Monday."""
    clock = ManualClock(at=datetime(2026, 11, 27, 17, tzinfo=UTC))
    week = "".join(
        f'{day} = ["08:00-14:00"]\n' for day in ("monday", "tuesday", "friday")
    )
    async with small_city(
        tmp_path,
        Strict(),
        sections=f"{RULES}[hours]\n{week}",
        parts=Parts(clock=clock),
    ) as city:
        await reported(city)
        (case,) = await city.rows(schema.cases)
        (job,) = await city.rows(schema.job)
        clock.advance((job.due_at - clock.now()).total_seconds())
        await city.until(lambda: urged(city) != [])

        assert datetime(2026, 12, 1, 11, tzinfo=UTC) == case.deadline_at
        assert datetime(2026, 11, 30, 13, tzinfo=UTC) == job.due_at
        (handover,) = (h for h in city.outside.handovers if h.urgency)
        assert "entro martedì 1 dicembre alle 12:00." in handover.message.text


async def test_without_a_rule_there_is_no_deadline(tmp_path):
    """Nothing waits, nothing is on the record."""
    async with small_city(tmp_path, Strict()) as city:
        await city.say(text="buca")
        await city.settle()

        assert [None] == [row.deadline_at for row in await city.rows(schema.cases)]
        assert [] == await actions(city)
