"""Whom a delivery is for, if addresses change while it waits."""

from __future__ import annotations

from small_city import UNREACHABLE, small_city

from gateway.store import schema

NEVER = [UNREACHABLE] * 1000


async def test_waiting_notice_follows_the_citizen(tmp_path, url):
    """What still waits for the old number goes to the new one, and is recorded so."""
    async with small_city(tmp_path, url=url) as city:
        city.outside.faults += NEVER
        await city.say(sender="anna", text="una buca")
        await city.until(lambda: len(city.outside.faults) < len(NEVER))
        await city.say(sender="anna", moved_to="anna-new")
        await city.until(lambda: city.outside.handovers != [])
        while "phone:anna-new" not in {
            row.reply_to for row in await city.rows(schema.conversation)
        }:
            pass
        city.outside.faults.clear()
        await city.settle()

        assert ["phone:anna-new"] == [str(n.to) for n in city.outside.notices]
        recorded = {row.recipient for row in await city.rows(schema.delivery)}
        assert "phone:anna-new" in recorded
        assert "phone:anna" not in recorded


async def test_number_given_to_somebody_else_while_a_notice_waits(tmp_path, url):
    """The new owner of a number reads nothing of what was for the old one."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(sender="IT.anna", aliases=["333"], stable=True, text="una buca")
        await city.settle()
        city.outside.notices.clear()
        closed = schema.cases.update().values(status="closed")
        await city.gateway.store.run(lambda c: c.execute(closed))
        city.outside.faults += NEVER
        await city.say(sender="333", text="un'altra cosa")
        await city.until(lambda: len(city.outside.faults) < len(NEVER))
        await city.say(sender="IT.bea", aliases=["333"], stable=True, text="ciao")
        await city.until(lambda: len(city.outside.handovers) > 2)
        city.outside.faults.clear()
        await city.settle()

        to = sorted(str(notice.to) for notice in city.outside.notices)
        assert ["phone:IT.anna", "phone:IT.bea"] == to
