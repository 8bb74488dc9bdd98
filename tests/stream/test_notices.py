"""One automatic notice a day where machines may answer machines."""

from __future__ import annotations

from datetime import timedelta

import orjson
from small_city import City, small_city
from sqlalchemy import Connection, update
from test_stream import Strict

from gateway.cli.opened import ACTOR
from gateway.model import Item, ItemKind
from gateway.store import schema


async def _letters(city: City, *texts: str, sender: str = "anna") -> None:
    for text in texts:
        await city.say("letter", sender=sender, text=text)
        await city.settle()


async def test_a_sender_gets_one_notice_a_day(tmp_path, url):
    """Refusals are held back like first notices; another sender has their own."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        await _letters(city, "bruttissimo", "brutto", "buca")
        await _letters(city, "buca", sender="bea")

        assert ["anna", "bea"] == [n.to.value for n in city.outside.notices]
        assert ["buca", "buca"] == [h.message.text for h in city.outside.handovers]


async def test_the_next_day_brings_the_next_notice(tmp_path, url):
    """The pause is kept in the database, and ends after 24 hours."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        await _letters(city, "bruttissimo")
        (flow,) = await city.rows(schema.rate)

        def pass_a_day(connection: Connection) -> None:
            earlier = flow.due_at - timedelta(days=1)
            connection.execute(update(schema.rate).values(due_at=earlier))

        await city.gateway.store.run(pass_a_day)
        await _letters(city, "bruttissimo", "bruttissimo")

        assert 2 == len(city.outside.notices)
        assert "anna" not in flow.name


async def test_messages_of_one_moment_share_a_notice(tmp_path, url):
    """Ten letters that are recorded together make no ten notices."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        for _ in range(10):
            await city.say("letter", text="bruttissimo")
        await city.settle()

        assert 1 == len(city.outside.notices)


async def test_what_people_say_is_never_held_back(tmp_path, url):
    """Neither an office's answer nor the word of staff is automatic."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        await _letters(city, "buca", "brutto")
        (handover,) = city.outside.handovers
        reference = f"<{handover.delivery_id}@office>"
        for text in ("Fatto.", "Anche il resto."):
            await city.say(
                "mail", sender="strade@office", text=text, references=[reference]
            )
        await city.settle()
        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        recorder = city.gateway.recorder
        await city.gateway.store.run(
            lambda c: recorder.reject(c, held.id, "Perché no.", ACTOR)
        )
        await city.until(lambda: len(city.outside.notices) == 4)

        purposes = [n.purpose for n in city.outside.notices]
        assert ["notice", "answer", "answer", "rejection"] == purposes


async def test_elsewhere_every_case_has_its_notice(tmp_path):
    """A channel without the manner goes on as before."""
    async with small_city(tmp_path, Strict()) as city:
        for _ in range(3):
            await city.say(text="bruttissimo")
            await city.settle()

        assert 3 == len(city.outside.notices)


async def test_receipt_for_no_delivery_of_ours_is_shown_to_staff(tmp_path, url):
    """It changes nothing, and is among the dead letters."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="ciao")
        await city.settle()
        forged = {"status": "failed", "of": "", "ours": "0198f2a4-no", "code": "5.1.1"}
        item = Item(external_id="r1", sender="r", kind=ItemKind.RECEIPT)
        await city.gateway.inbox.accept("phone", orjson.dumps(forged), [item])
        await city.settle()

        (letter,) = await city.rows(schema.dead_letter)
        assert "no_such_delivery" == letter.code
        assert {"sent"} == {d.state for d in await city.rows(schema.delivery)}
