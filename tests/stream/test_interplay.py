"""Moves, merges, fallbacks, deadlines and questions, in each other's way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from small_city import City, Outside, small_city
from sqlalchemy import Connection, update
from test_fallback import DOWN, LOST, NEVER, both
from test_questions import Asking
from test_staff import BY, do
from test_standing import OnePerson, number_of, told
from test_stream import Strict

from gateway import correcting, merging, outbox
from gateway.app import city_of
from gateway.errors import DeliveryError
from gateway.model import Assignment, Message
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema


async def staff(city: City, work, *args: object, **more: object):
    """Let staff do something; don't wait for what follows."""
    known = city_of(city.gateway.settings, city.gateway.host)
    return await city.gateway.store.run(lambda c: work(c, *args, known, by=BY, **more))


async def first(city: City, text: str = "una buca", **said: object) -> str:
    """Report something; return the case's number as soon as it has one."""
    await city.say(text=text, **said)
    await city.until(lambda: bool(city.outside.notices))
    (row,) = await city.rows(schema.cases)
    return row.number


async def test_moved_there_and_back_while_the_spare_connector_is_down(tmp_path, url):
    """A case that its fallback has not delivered yet can be moved away and back."""
    outside = Outside(office_faults=[NEVER, *[DOWN] * 500], spare_faults=[DOWN] * 500)
    async with small_city(tmp_path, url=url, outside=outside, urp=both()) as city:
        number = await first(city)

        def passed() -> bool:
            return len(outside.spare_faults) < 500

        await city.until(passed)
        await city.gateway.store.run(_calm)
        await staff(city, correcting.move, number, "strade")
        await city.gateway.store.run(_calm)
        await staff(city, correcting.move, number, "urp")
        (row,) = await city.rows(schema.cases)
        assert "urp" == row.service


def _calm(connection: Connection) -> None:
    """Let what is to be tried again wait, so that nobody is at it."""
    later = datetime.now(UTC) + timedelta(hours=1)
    connection.execute(
        update(schema.job)
        .where(schema.job.c.queue.startswith("deliver:service"))
        .values(state="waiting", due_at=later)
    )


DEADLINE = """
[services.urp2]
name = "Unused"
connectors = [{ type = "office" }]
[deadlines]
deadline_hours = 10
remind_before_hours = 4
"""


async def test_reminder_never_goes_to_an_office_that_has_lost_the_case(tmp_path, url):
    """The office was down all the time: the case moved, its words must not follow."""
    urp = 'connectors = [{ type = "spare" }]'
    outside = Outside(spare_faults=[DOWN] * 500)
    async with small_city(
        tmp_path, url=url, outside=outside, urp=urp, sections=DEADLINE
    ) as city:
        number = await first(city)

        def near(connection: Connection) -> None:
            ago = datetime.now(UTC) - timedelta(minutes=1)
            job = schema.job
            connection.execute(
                update(job).where(job.c.queue == "deadlines-near").values(due_at=ago)
            )

        await city.gateway.store.run(near)

        async def reminded() -> bool:
            rows = await city.rows(schema.delivery)
            return any(r.purpose.startswith("reminder") for r in rows)

        while not await reminded():
            pass
        await city.gateway.store.run(_calm)
        await staff(city, correcting.move, number, "strade")
        outside.spare_faults.clear()
        await city.gateway.store.run(_due)
        await city.settle(waiting=1)

        assert {"strade"} == {h.service for h in outside.handovers}
        assert [] == [(h.service, h.urgency) for h in outside.spares]


def _due(connection: Connection) -> None:
    ago = datetime.now(UTC) - timedelta(minutes=1)
    connection.execute(
        update(schema.job)
        .where(schema.job.c.queue.startswith("deliver:service"))
        .values(due_at=ago)
    )


async def test_retried_dead_letter_of_a_moved_case_stays_with_the_case(tmp_path, url):
    """The office refused it; the case went elsewhere; then all letters are retried."""
    outside = Outside(spare_faults=[NEVER])
    urp = 'connectors = [{ type = "spare" }]'
    async with small_city(tmp_path, url=url, outside=outside, urp=urp) as city:
        number = await number_of(city, "una buca")
        await do(city, correcting.move, number, "strade")
        (letter,) = await city.rows(schema.dead_letter)
        await city.gateway.store.run(lambda c: outbox.resurrect(c, letter.id, BY))
        await city.settle()

        assert ["strade"] == [h.service for h in outside.handovers]
        assert [] == [h.service for h in outside.spares]


async def test_doubtful_fallback_of_a_moved_case_stays_with_the_case(tmp_path, url):
    """The spare connector has tried nothing yet: what it would do is taken back."""
    outside = Outside(office_faults=[LOST] * 500, spare_faults=[DOWN] * 500)
    async with small_city(
        tmp_path, url=url, outside=outside, urp=both(minutes=0.002)
    ) as city:
        number = await first(city)
        await city.until(lambda: len(outside.spare_faults) < 500)
        await city.gateway.store.run(_calm)
        outside.office_faults.clear()
        await staff(city, correcting.move, number, "strade")
        outside.spare_faults.clear()
        await city.gateway.store.run(_due)
        await city.settle()

        assert ["strade"] == [h.service for h in outside.handovers]
        assert [] == [h.service for h in outside.spares]


async def test_answer_quotes_nothing_of_another_channel(tmp_path, url):
    """Cases of two channels are merged: an id of one means nothing on the other."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        old = await number_of(city, "una buca", channel="phone")
        new = await number_of(city, "lampione", channel="mail", sender="anna2")
        await number_of(city, "ancora la buca", channel="phone")
        await do(city, merging.merge, old, new)
        reference = f"<{city.outside.handovers[1].delivery_id}@office>"
        await city.say(
            channel="mail", sender="urp@office", text="Fatto.", references=[reference]
        )
        await city.settle()
        last = city.outside.notices[-1]
        rows = await city.rows(schema.delivery)
        (row,) = [row for row in rows if row.id == last.delivery_id]
        said = {r.external_id: r.channel for r in await city.rows(schema.inbox)}
        assert "mail" == row.target.removeprefix("channel:")
        assert "mail" == said[last.quote]


class AsksAsOurs(Plugin[NoConfig]):
    """As `gateway_routing.router`: never asks about an edit."""

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        if message.amendment is not None:
            return None
        return await Asking().route_message(message)


async def test_an_edit_does_not_end_the_question(tmp_path, url):
    """A typo is mended while we ask: the choice still counts."""
    async with small_city(tmp_path, AsksAsOurs(), url=url) as city:
        await city.say(channel="album", text="aiuto, un probblema")
        await city.settle(waiting=1)
        await city.say(
            channel="album", text="aiuto, problema", amends="m1", amendment="edit"
        )
        await asyncio.sleep(1)
        before = [(h.service, h.message.text) for h in city.outside.handovers]
        await city.say(channel="album", text="Strade", choice="s")
        await asyncio.sleep(1)
        got = [(h.service, h.message.text) for h in city.outside.handovers]
        (case,) = await city.rows(schema.cases)
        assert ([], "strade") == (before, case.service), got


async def test_a_long_pause_does_not_keep_a_message_from_the_fallback(tmp_path, url):
    """The office's server says Retry-After: a day; the spare one has it in time."""
    busy = DeliveryError("http_503", "no", retryable=True, retry_after=86_400)
    outside = Outside(office_faults=[busy])
    async with small_city(
        tmp_path, url=url, outside=outside, urp=both(minutes=0.01)
    ) as city:
        await city.say(text="una buca")
        await asyncio.sleep(4)
        jobs = await city.rows(schema.job)
        assert ["una buca"] == [h.message.text for h in outside.spares], jobs


async def test_merged_into_an_answered_case_it_is_still_due(tmp_path, url):
    """What nobody has answered keeps a deadline, also in the case where it goes on."""
    sections = "[deadlines]\ndeadline_hours = 10\n"
    async with small_city(tmp_path, url=url, sections=sections) as city:
        await city.say(text="una buca")
        await city.settle(waiting=1)
        reference = f"<{city.outside.handovers[0].delivery_id}@office>"
        await city.say(sender="urp@office", text="Fatto.", references=[reference])
        await city.settle()
        await city.say(text="nuova\nun lampione")
        await city.settle(waiting=1)
        answered, old = sorted(r.number for r in await city.rows(schema.cases))
        await staff(city, merging.merge, old, answered)
        rows = await city.rows(schema.cases)
        assert [] != [r.deadline_at for r in rows if r.deadline_at]


async def test_connector_taken_away_strands_nothing_unseen(tmp_path, url):
    """What waits for a spare connector is seen after the city has removed it."""
    outside = Outside(office_faults=[NEVER], spare_faults=[DOWN] * 500)
    async with small_city(tmp_path, url=url, outside=outside, urp=both()) as city:
        await city.say(text="una buca")
        await city.until(lambda: len(outside.spare_faults) < 500)
    outside.spare_faults.clear()
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await asyncio.sleep(2)
        ready = await city.gateway.monitor.readiness()
        assert ("degraded", ("deliver:service:urp/1",)) == (
            ready.status.value,
            ready.unattended,
        )


async def test_what_waits_for_a_target_that_is_down_costs_nothing(tmp_path, url):
    """No attempt, no event: a minute of an outage must not fill the chain."""
    outside = Outside(office_faults=[DOWN] * 9999)
    outbox = "breaker_failures = 2\nbreaker_seconds = 0.3"
    async with small_city(
        tmp_path, url=url, outside=outside, urp=both(), outbox=outbox
    ) as city:
        for number in range(20):
            await city.say(text="una buca", sender=f"s{number}")
        await asyncio.sleep(6)
        events = [e.action for e in await city.rows(schema.event)]
        tried = 9999 - len(outside.office_faults)
        assert events.count("delivery.retry") <= tried


async def test_old_number_is_nobodys(tmp_path, url):
    """Anna has moved to another number; who has hers now learns nothing of her."""
    async with small_city(tmp_path, url=url) as city:
        number = await number_of(city, "una buca")
        await city.say(sender="anna", moved_to="nuovo")
        await city.settle()
        stato = await told(city, "stato", sender="anna")
        assert number not in stato


async def test_answer_goes_to_the_new_number(tmp_path, url):
    """Who has the old number writes, too: the office's answer is still Anna's."""
    async with small_city(tmp_path, url=url) as city:
        await number_of(city, "una buca")
        reference = f"<{city.outside.handovers[0].delivery_id}@office>"
        await city.say(sender="anna", moved_to="nuovo")
        await city.settle()
        await told(city, "buongiorno, sono un altro", sender="anna")
        before = len(city.outside.notices)
        await city.say(sender="urp@office", text="Fatto.", references=[reference])
        await city.settle()
        got = [n.to.value for n in city.outside.notices[before:]]
        assert ["nuovo"] == got


async def test_held_word_does_not_end_the_question(tmp_path, url):
    """What staff release while we ask waits with the rest."""
    async with small_city(tmp_path, Asking(), Strict(), url=url) as city:
        await city.say(channel="album", text="aiuto, un problema")
        await city.settle(waiting=1)
        await city.say(channel="album", text="brutto")
        await asyncio.sleep(1)
        held = [m for m in await city.rows(schema.message) if m.state == "held"]
        await city.gateway.store.run(
            lambda c: city.gateway.recorder.release(c, held[0].id, BY)
        )
        await asyncio.sleep(1)
        got = [(h.service, h.message.text) for h in city.outside.handovers]
        (case,) = await city.rows(schema.cases)
        assert ("waiting", []) == (case.status, got)
