"""How cases stand, as a plugin can ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from small_city import small_city

from gateway.inquiries import StoredCases
from gateway.model import Action, CaseStatus, ChannelId, Verdict
from gateway.plugin import NoConfig, Plugin, hookimpl

PHONE, MAIL = ChannelId("phone"), ChannelId("mail")
FAR = timedelta(days=1)


@pytest.fixture
async def city(tmp_path, url):
    """Two citizens on the telephone, one by mail; the second case is closed."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="una buca")
        await city.settle()
        await city.say(sender="bea", text="un lampione")
        await city.settle()
        await city.say(channel="mail", sender="carlo", text="un albero")
        await city.settle()
        handed = city.outside.handovers[1].delivery_id
        await city.say(
            channel="mail",
            sender="urp@office",
            text="chiuso",
            references=[f"<{handed}@office>"],
        )
        await city.settle()
        yield city


async def test_items_numbers_and_times_lead_to_cases(city):
    """Each of its own channel only, with the item as it was received."""
    cases, now = StoredCases(city.gateway.store), datetime.now(UTC)
    first, second, third = (each.case.number for each in city.outside.handovers)

    found = await cases.of_items(PHONE, ["m1", "m2", "m3", "nothing"])
    assert {"m1": first, "m2": second} == {k: v.number for k, v in found.items()}
    assert b"una buca" in found["m1"].item.original.body
    assert (CaseStatus.CLOSED, True) == (
        found["m2"].status,
        found["m2"].closed_at is not None,
    )

    numbered = await cases.numbered(PHONE, [first, second, third, "none"])
    assert [second, first] == [view.number for view in numbered]

    async def opened(**how):
        views = await cases.opened(PHONE, now - FAR, now + FAR, **how)
        return [view.number for view in views]

    assert [second, first] == await opened()
    assert [second] == await opened(most=1)
    assert [first] == await opened(closed=False)
    assert [second] == await opened(closed=True)
    assert [first] == await opened(prefixes=["m1"])
    assert [] == await opened(prefixes=["_"])
    assert [] == await cases.opened(PHONE, now - 2 * FAR, now - FAR)
    assert [third] == [v.number for v in await cases.numbered(MAIL, [third])]


class Strict(Plugin[NoConfig]):
    """Holds everything."""

    @hookimpl
    async def moderate_message(self) -> Verdict:
        return Verdict(action=Action.HOLD, rule="r", reason="all", source="strict")


async def test_item_without_a_case_is_known(tmp_path, url):
    """It is held: accepted, and nobody's yet."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        await city.say(text="una buca")
        await city.settle()
        cases = StoredCases(city.gateway.store)

        assert {"m1": None} == await cases.of_items(PHONE, ["m1"])
