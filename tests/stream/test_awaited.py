"""What the other side has promised to say of a delivery: late, or for each alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from small_city import City, Outside, small_city

from gateway import awaited
from gateway.model import Expectation
from gateway.store import schema

LONG = timedelta(hours=1)


async def _states(city: City) -> list[str]:
    rows = await city.rows(schema.delivery)
    return [row.state for row in rows if row.purpose == "notice"]


async def _sent(city: City) -> str:
    """Let a citizen write; return the id of the notice's delivery."""
    await city.say(text="una buca")
    await city.until(lambda: city.outside.notices != [])
    delivery = city.outside.notices[0].delivery_id
    while await _states(city) != ["sent"]:
        pass
    return delivery


async def _watches(city: City) -> dict[str, str]:
    rows = await city.rows(schema.job)
    return {row.queue: row.state for row in rows if row.queue.startswith("receipts-")}


async def test_missing_receipt_is_told_to_staff(tmp_path, url):
    """Warned of first, then a dead letter; health and metrics show both."""
    outside = Outside()
    outside.expects = Expectation(
        within=timedelta(seconds=1), warn_after=timedelta(milliseconds=10)
    )
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        monitor = city.gateway.monitor
        while (await monitor.readiness()).receipts != {"late": 1, "missing": 0}:
            pass
        late = await monitor.readiness()
        await monitor.refresh_metrics()
        value = city.gateway.metrics.registry.get_sample_value
        warned = value("gateway_receipts_overdue", {"state": "late"})
        await city.settle()
        missing = await monitor.readiness()
        (letter,) = await city.rows(schema.dead_letter)
        await city.report("delivered", "", ours=delivery)
        while await _states(city) != ["delivered"]:
            pass
        (closed,) = await city.rows(schema.dead_letter)

        assert (None, "discarded") == (letter.resolution, closed.resolution)
        assert {"late": 0, "missing": 0} == (await monitor.readiness()).receipts
        assert ("degraded", True) == (late.status.value, late.ready)
        assert 1.0 == warned
        assert {"late": 0, "missing": 1} == missing.receipts
        assert ("degraded", True) == (missing.status.value, missing.ready)
        assert ("no_receipt", awaited.MISSING) == (letter.code, letter.queue)
        assert delivery in letter.reason


@pytest.mark.parametrize("status", ["delivered", "failed"])
async def test_last_word_ends_the_waiting(tmp_path, url, status):
    """Nobody is warned of what has been answered."""
    outside = Outside(expects=Expectation(within=LONG, warn_after=LONG))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        waiting = await _watches(city)
        await city.report(status, "", ours=delivery)
        await city.settle()

        assert {awaited.LATE: "waiting", awaited.MISSING: "waiting"} == waiting
        assert [status] == await _states(city)


async def test_a_receipt_replaces_what_was_promised(tmp_path, url):
    """Accepted: no more warning, and the alarm counts from then."""
    outside = Outside(expects=Expectation(within=LONG, warn_after=LONG))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        await city.report("sent", "", ours=delivery, within=9_000_000, recipients=1)
        await city.settle(waiting=1)

        assert {awaited.MISSING: "waiting"} == await _watches(city)
        assert ["sent"] == await _states(city)


async def test_receipts_that_overtake_each_other(tmp_path, url):
    """What is older than the last word does not bring its own promise back."""
    outside = Outside(expects=Expectation(within=LONG, warn_after=LONG))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        await city.report("sent", "", ours=delivery, within=9_000_000, recipients=1)
        await city.settle(waiting=1)
        (promised,) = await city.rows(schema.job)
        await city.report(
            "sent", "", ours=delivery, within=1, recipients=2, earlier=True
        )
        while 2 not in [row.awaits for row in await city.rows(schema.delivery)]:
            pass

        assert promised in await city.rows(schema.job)


async def test_nothing_is_awaited_from_ordinary_mailboxes(tmp_path, url):
    """Where no recipient gives a further word, nobody waits for one."""
    outside = Outside(expects=Expectation(within=LONG))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        await city.report("sent", "", ours=delivery, within=1, recipients=0)
        await city.settle()

        assert {} == await _watches(city)
        assert [] == await city.rows(schema.dead_letter)


async def test_delivered_once_all_recipients_have_it(tmp_path, url):
    """Each has a receipt of its own; the same one twice counts once."""
    outside = Outside(expects=Expectation(within=LONG, recipients=2))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        seen = []
        for recipient in ("a@pec.test", "a@pec.test", "b@pec.test"):
            await city.report("delivered", "", ours=delivery, recipient=recipient)
            await city.settle(waiting=0 if recipient.startswith("b") else 1)
            seen += await _states(city)

        assert ["sent", "sent", "delivered"] == seen


async def test_failed_once_one_recipient_can_not_have_it(tmp_path, url):
    """The other's receipt is kept, and changes nothing."""
    outside = Outside(expects=Expectation(within=LONG, recipients=2))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        await city.report("failed", "", ours=delivery, recipient="a", code="5.1.1")
        await city.report("delivered", "", ours=delivery, recipient="b")
        await city.settle()

        assert ["failed"] == await _states(city)
        (letter,) = await city.rows(schema.dead_letter)
        assert "5.1.1" == letter.code


async def test_receipts_in_any_order_end_the_same(tmp_path, url):
    """Delivered to the only one who is certified, told before we know that."""
    outside = Outside(expects=Expectation(within=LONG, recipients=2))
    async with small_city(tmp_path, url=url, outside=outside) as city:
        delivery = await _sent(city)
        await city.report("delivered", "", ours=delivery, recipient="a")
        await city.settle(waiting=1)
        await city.report("sent", "", ours=delivery, within=9_000, recipients=1)
        await city.settle()

        assert ["delivered"] == await _states(city)


async def test_word_on_one_tells_how_many_are_awaited(tmp_path, url):
    """Even before anything else has told it; the others' words are waited for."""
    async with small_city(tmp_path, url=url) as city:
        delivery = await _sent(city)
        more = {"ours": delivery, "within": 9_000_000, "recipients": 2}
        await city.report("delivered", "", recipient="a", **more)
        await city.settle(waiting=1)
        first, (watch,) = await _states(city), await city.rows(schema.job)
        await city.report("delivered", "", recipient="c", **more | {"recipients": 3})
        while 3 not in [row.awaits for row in await city.rows(schema.delivery)]:
            pass
        assert [watch] == await city.rows(schema.job)
        await city.report("delivered", "", recipient="b", **more | {"recipients": 3})
        await city.settle()

        assert (["sent"], ["delivered"]) == (first, await _states(city))


async def test_receipt_names_the_item_it_was_read_from(tmp_path, url):
    """The stored original is evidence, found from the receipt."""
    async with small_city(tmp_path, url=url) as city:
        delivery = await _sent(city)
        await city.report("delivered", "", ours=delivery)
        await city.settle()

        (told,) = [r for r in await city.rows(schema.receipt) if r.inbox_id]
        items = {row.id: row.kind for row in await city.rows(schema.inbox)}
        assert (delivery, "receipt") == (told.delivery_id, items[told.inbox_id])


async def test_answer_may_name_the_providers_id(tmp_path, url):
    """A citizen's answer to our notice joins the case by the id the provider gave."""
    outside = Outside()
    async with small_city(
        tmp_path, url=url, outside=outside, gateway="join_minutes = 1"
    ) as city:
        delivery = await _sent(city)
        await city.report("sent", "", ours=delivery, reference="<opec1@pec.test>")
        await city.settle()
        past = schema.cases.update().values(
            last_message_at=city.outside.notices[0].created_at - timedelta(days=9)
        )
        await city.gateway.store.run(lambda c: c.execute(past))
        await city.say(text="e poi?", references=["<opec1@pec.test>"])
        await city.settle()

        assert 1 == len(await city.rows(schema.cases))


async def test_offices_answer_may_name_the_providers_id(tmp_path, url):
    """An office's answer finds its hand-over by the id the provider gave."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="una buca")
        await city.settle()
        (handover,) = city.outside.handovers
        await city.report(
            "sent", "", ours=handover.delivery_id, reference="<opec2@pec.test>"
        )
        await city.settle()
        city.outside.notices.clear()
        await city.say(
            sender="urp@office", text="Fatto.", references=["<opec2@pec.test>"]
        )
        await city.settle()

        assert ["answer"] == [each.purpose for each in city.outside.notices]
