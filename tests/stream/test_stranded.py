"""What waits for a connector or a service that is gone is handed on, once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from small_city import City, Outside, small_city
from sqlalchemy import Connection, update
from test_fallback import DOWN, NEVER, both

from gateway import stranded
from gateway.app import targets_of
from gateway.errors import CaseError
from gateway.model import Assignment, Message, ServiceId
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema
from gateway.stranded import Moved, Order

PARKS = '[services.parchi]\nname = "Parchi"\nconnectors = [{ type = "office" }]\n'
BY = "staff:test"
SLOW = (600.0, 600.0)


class ToParks(Plugin[NoConfig]):
    """Sends what is about trees to the office for parks."""

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        """Route by one word."""
        if "albero" not in message.text:
            return None
        return Assignment(service=ServiceId("parchi"), reason="r", source="s")


async def found(city: City) -> dict[str, tuple[int, int]]:
    """Return what nobody works on."""
    settings = city.gateway.settings
    depths = await city.gateway.store.read(
        lambda c: stranded.found(c, targets_of(settings), settings.channels)
    )
    return {queue: (each.open, each.dead) for queue, each in depths.items()}


async def move(city: City, before: str, after: str, **more: Any) -> Moved:
    """Hand on what waits, as the command does."""
    order = Order(before=before, after=after, by=BY, **more)

    def work(connection: Connection) -> Moved:
        ids = stranded.waiting(connection, order)
        return stranded.move(connection, order, ids, city.gateway.city)

    return await city.gateway.store.run(work)


async def events(city: City, action: str) -> list[tuple[str, dict]]:
    """Return who did what on the record."""
    rows = await city.rows(schema.event)
    return [(r.actor, json.loads(r.data)) for r in rows if r.action == action]


async def test_what_waits_for_a_connector_that_is_gone_goes_to_one_that_is_left(
    tmp_path, url
):
    """It had come from there: it goes back, once, and that is on the record."""
    outside = Outside(office_faults=[NEVER], spare_faults=[DOWN] * 9)
    async with small_city(
        tmp_path, url=url, outside=outside, urp=both(), backoff=SLOW
    ) as city:
        await city.say(text="una buca")
        await city.until(lambda: len(outside.spare_faults) < 9)
        await city.settle(waiting=1)
        assert {} == await found(city)
    async with small_city(tmp_path, url=url) as city:
        assert {"deliver:service:urp/1": (1, 0)} == await found(city)
        moved = await move(city, "service:urp/1", "service:urp")
        await city.until(lambda: bool(city.outside.handovers))
        await city.settle()
        again = await move(city, "service:urp/1", "service:urp")
        await city.settle()

        assert (Moved(handed=1), Moved()) == (moved, again)
        assert ["una buca"] == [h.message.text for h in city.outside.handovers]
        last = (await events(city, "delivery.passed_on"))[-1]
        assert (BY, "moved_by_staff") == (last[0], last[1]["code"])
        assert {} == await found(city)


async def test_cases_of_a_service_that_is_gone_go_to_another(tmp_path, url):
    """With what the citizen said, who is told; others' cases stay where they are."""
    outside = Outside(office_faults=[DOWN] * 2)
    async with small_city(
        tmp_path, ToParks(), url=url, outside=outside, sections=PARKS, backoff=SLOW
    ) as city:
        await city.say(text="un albero caduto")
        await city.until(lambda: len(outside.office_faults) < 2)
        await city.say(text="ed è grande")
        await city.until(lambda: not outside.office_faults)
        await city.settle(waiting=2)
        await city.say(sender="bruno", text="una buca")
        await city.settle(waiting=2)
    async with small_city(tmp_path, url=url) as city:
        assert {"deliver:service:parchi": (2, 0)} == await found(city)
        moved = await move(city, "service:parchi", "service:strade")
        await city.until(lambda: len(city.outside.handovers) == 2)
        await city.settle()
        again = await move(city, "service:parchi", "service:strade")

        assert (Moved(cases=1, handed=2), Moved()) == (moved, again)
        assert ["strade"] * 2 == [h.service for h in city.outside.handovers]
        assert {"un albero caduto", "ed è grande"} == {
            h.message.text for h in city.outside.handovers
        }
        assert ["anna"] == [
            n.to.value for n in city.outside.notices if "Strade" in n.text
        ]
        assert {"strade", "urp"} == {c.service for c in await city.rows(schema.cases)}
        assert {} == await found(city)


async def test_what_was_given_up_is_handed_on_if_that_is_wanted(tmp_path, url):
    """A dead letter of the service that is gone: closed, and the other has it."""
    outside = Outside(office_faults=[NEVER])
    async with small_city(
        tmp_path, ToParks(), url=url, outside=outside, sections=PARKS
    ) as city:
        await city.say(text="un albero caduto")
        await city.settle()
    async with small_city(tmp_path, url=url) as city:
        assert {"deliver:service:parchi": (0, 1)} == await found(city)
        left = await move(city, "service:parchi", "service:urp")
        moved = await move(city, "service:parchi", "service:urp", dead_letters=True)
        await city.settle()

        assert (Moved(), Moved(cases=1, handed=1)) == (left, moved)
        assert ["urp"] == [h.service for h in city.outside.handovers]
        (letter,) = await city.rows(schema.dead_letter)
        assert ("discarded", "moved to service:urp") == (
            letter.resolution,
            letter.note,
        )
        assert {} == await found(city)


@pytest.mark.parametrize(
    ("table", "values"),
    [(schema.cases, {"status": "closed"}), (schema.job, {"state": "running"})],
)
async def test_what_can_not_go_stays(table, values, tmp_path):
    """A closed case changes its service no more; nor does what may be being sent."""
    outside = Outside(office_faults=[DOWN])
    async with small_city(
        tmp_path, ToParks(), outside=outside, sections=PARKS, backoff=SLOW
    ) as city:
        await city.say(text="un albero caduto")
        await city.until(lambda: not outside.office_faults)
        await city.settle(waiting=1)
    async with small_city(tmp_path) as city:
        await city.gateway.store.run(lambda c: c.execute(update(table).values(values)))

        assert Moved(left=1) == await move(city, "service:parchi", "service:urp")
        assert [] == await events(city, "case.reassigned")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("channel:vecchio", "channel:posta", "never handed to another channel"),
        ("service:urp", "service:strade", "is configured"),
        ("service:urp/1", "service:parchi", "there are: service:strade, service:urp"),
        ("service:urp/1", "service:strade", "only to service:urp"),
        ("service:parchi/1", "service:urp", "--from service:parchi --to service:urp"),
    ],
)
def test_order_that_makes_no_sense_is_refused(before, after, said):
    """The text says what can be done instead."""
    targets = {"channel:posta", "service:urp", "service:strade"}
    with pytest.raises(CaseError, match=said):
        stranded.require_sense(Order(before=before, after=after, by=BY), targets)
