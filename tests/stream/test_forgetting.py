"""What plugins keep of a citizen is found by its key, and nothing else is."""

from __future__ import annotations

import pytest
from small_city import City, Outside, small_city
from sqlalchemy import Connection, update
from test_fallback import DOWN

from gateway import forgetting, people
from gateway.errors import CaseError
from gateway.store import schema


async def keys_of(city: City, sender: str) -> set[str]:
    """Return one key of each kind that is about what somebody has said."""
    (message,) = [
        row
        for row in await city.rows(schema.message)
        if row.author == "citizen" and sender in row.body
    ]
    (delivery, *_) = [
        row
        for row in await city.rows(schema.delivery)
        if row.case_id == message.case_id
    ]
    return {
        f"recipients:{delivery.id}",
        f"open311/urp/0a/case/{message.case_id}",
        f"seen/{message.id}",
        f"notice/{sender}",
    }


async def keep(city: City, keys: set[str]) -> None:
    """Let a plugin that is not enabled have kept something."""
    rows = [{"plugin": "gone", "key": key, "value": '"x"'} for key in sorted(keys)]
    await city.gateway.store.run(
        lambda c: c.execute(schema.plugin_state.insert(), rows)
    )


async def forget(city: City, who: str) -> int:
    """Erase, as the command does."""

    def work(connection: Connection) -> int:
        found = people.by_name(connection, who)
        return forgetting.forget(connection, found, "art. 17", "staff:test")

    return await city.gateway.store.run(work)


async def close_all(city: City) -> None:
    """Close every case."""
    await city.gateway.store.run(
        lambda c: c.execute(update(schema.cases).values(status="closed"))
    )


async def test_what_is_about_somebody_goes_with_them(tmp_path, url):
    """By case, message, delivery and address; others' values stay, and cursors."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(sender="anna", text="una buca")
        await city.say(sender="bruno", text="un palo")
        await city.settle()
        hers, his = await keys_of(city, "anna"), await keys_of(city, "bruno")
        others = {"imap:posta:urp@comune.example.it/anna", "oauth2:anna", "x/y/anna"}
        await keep(city, hers | his | others)
        await close_all(city)

        assert len(hers) == await forget(city, "phone:anna")
        assert his | others == {r.key for r in await city.rows(schema.plugin_state)}


async def test_who_has_changed_number_is_forgotten_whole(tmp_path, url):
    """Also what is about the contact that they were before."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(sender="new", text="da nuovo")
        await city.say(sender="old", text="da vecchio")
        await city.settle()
        keys = await keys_of(city, "old") - {"notice/old"}
        await city.say(sender="old", moved_to="new")
        await city.settle()
        await keep(city, keys)
        await close_all(city)

        assert len(keys) == await forget(city, "phone:new")


async def test_nothing_is_taken_from_under_a_delivery(tmp_path):
    """What is on its way may need what its plugin knows of it."""
    outside = Outside(office_faults=[DOWN])
    async with small_city(tmp_path, outside=outside, backoff=(600, 600)) as city:
        await city.say(sender="anna", text="una buca")
        await city.until(lambda: not outside.office_faults)
        await city.settle(waiting=1)
        with pytest.raises(CaseError, match="still open"):
            await forget(city, "phone:anna")
        await close_all(city)
        with pytest.raises(CaseError, match="on its way"):
            await forget(city, "phone:anna")
