"""What goes along when staff merge and split cases, and what is on the record."""

from __future__ import annotations

import orjson
from small_city import City, small_city
from test_staff import answer_of, do, handed, reference
from test_standing import number_of, told

from gateway import correcting, duplicates, merging
from gateway.store import schema


async def said_by(city: City, sender: str) -> list[str]:
    """Return the ids of what somebody said, in order."""
    rows = await city.rows(schema.message)
    return [
        row.id
        for row in sorted(rows, key=lambda row: row.id)
        if orjson.loads(row.body)["sender"] == f"phone:{sender}"
    ]


async def links(city: City) -> list[tuple[str, str, str]]:
    """Return what is on the record of links: action, case and main case."""
    numbers = {row.id: row.number[-1] for row in await city.rows(schema.cases)}
    return [
        (event.action, numbers[event.subject], numbers[data["main"]])
        for event in await city.rows(schema.event)
        if event.action in {"case.linked", "case.unlinked"}
        if "main" in (data := orjson.loads(event.data))
    ]


async def test_held_answer_goes_with_its_message(tmp_path, url):
    """An answer to what was split off is, once released, one of the new case."""
    async with small_city(tmp_path, url=url) as city:
        old = await number_of(city, "una buca")
        await told(city, "e un lampione")
        await answer_of(city, reference(city, 0), "inoltrato a chissà")
        await answer_of(city, reference(city, 1), "inoltrato a boh")
        _, second = await said_by(city, "anna")
        new = await do(city, merging.split, old, [second])
        release = city.gateway.recorder.release
        held = [m for m in await city.rows(schema.message) if m.state == "held"]
        for each in sorted(held, key=lambda row: row.id):
            await city.gateway.store.run(lambda c, m=each.id: release(c, m, "staff:x"))
        await city.settle()

        texts = [notice.text for notice in city.outside.notices]
        (one,) = [text for text in texts if "inoltrato a chissà" in text]
        (other,) = [text for text in texts if "inoltrato a boh" in text]
        assert (True, False) == (old in one, new in one)
        assert (False, True) == (old in other, new in other)


async def test_answer_by_number_stays(tmp_path):
    """It named the case, and no message of it."""
    async with small_city(tmp_path) as city:
        old = await number_of(city, "una buca")
        await told(city, "e un lampione")
        subject = f"Re: {old}"
        await city.say(sender="urp@office", text="Fatto.", subject=subject)
        await city.settle()
        _, second = await said_by(city, "anna")
        await do(city, merging.split, old, [second])

        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        rows = {row.id: row.number for row in await city.rows(schema.cases)}
        assert old == rows[held.case_id]


async def test_split_moved_and_merged_again(tmp_path, url):
    """The office that had it all before gets all of it again."""
    async with small_city(tmp_path, url=url) as city:
        old = await number_of(city, "una buca")
        await told(city, "un lampione")
        await told(city, "spento")
        _, *rest = await said_by(city, "anna")
        new = await do(city, merging.split, old, rest)
        await do(city, correcting.move, new, "strade")
        city.outside.handovers.clear()
        await do(city, merging.merge, new, old)

        assert [("urp", "1", "un lampione"), ("urp", "1", "spento")] == handed(city)


async def test_links_that_a_merger_changes_are_on_the_record(tmp_path, url):
    """Who was linked to the case that is gone is linked to the one it went on in."""
    async with small_city(tmp_path, url=url) as city:
        old = await number_of(city, "una buca")
        new = await number_of(city, "nuova\nla buca")
        bea = await number_of(city, "una buca", sender="bea")
        await do(city, duplicates.link, bea, old)
        await do(city, merging.merge, old, new)

        (_, _, linked) = sorted(await city.rows(schema.cases), key=lambda c: c.number)
        assert linked.duplicate_of is not None
        assert [
            ("case.linked", "3", "1"),
            ("case.unlinked", "3", "1"),
            ("case.linked", "3", "2"),
        ] == await links(city)


async def test_links_of_a_group_are_on_the_record(tmp_path):
    """Linking a main case takes those along that were linked to it, one by one."""
    async with small_city(tmp_path) as city:
        anna, bea, carlo = [
            await number_of(city, "una buca", sender=who)
            for who in ("anna", "bea", "carlo")
        ]
        await do(city, duplicates.link, bea, anna)
        await do(city, duplicates.link, anna, carlo)

        assert [
            ("case.linked", "2", "1"),
            ("case.unlinked", "2", "1"),
            ("case.linked", "2", "3"),
            ("case.linked", "1", "3"),
        ] == await links(city)


async def test_what_went_on_in_a_merged_case_goes_on_with_it(tmp_path):
    """Two mergers in a row: the last case has absorbed both, on the record."""
    async with small_city(tmp_path) as city:
        one, two, three = [await number_of(city, f"nuova\n{n}") for n in "abc"]
        await do(city, merging.merge, one, two)
        await do(city, merging.merge, two, three)

        numbers = {row.id: row.number for row in await city.rows(schema.cases)}
        absorbed = [
            (numbers[event.subject], numbers[orjson.loads(event.data)["from"]])
            for event in await city.rows(schema.event)
            if event.action == "case.absorbed"
        ]
        assert [(two, one), (three, one), (three, two)] == absorbed
