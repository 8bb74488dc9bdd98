"""Edits, revocations, reactions: they join the message that they are about."""

from __future__ import annotations

import json

import pytest
from small_city import small_city

from gateway.model import Action, Message, Verdict
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema


class Moderator(Plugin[NoConfig]):
    """Holds what is rude."""

    @hookimpl
    async def moderate_message(self, message: Message) -> Verdict | None:
        if "rude" not in message.text:
            return None
        return Verdict(action=Action.HOLD, rule="r", reason="r", source="moderator")


async def inbound(city) -> list[tuple]:
    """Return state, text, and whether there is a case, of what citizens said."""
    rows = [row for row in await city.rows(schema.message) if row.direction == "in"]
    return [
        (row.state, json.loads(row.body)["text"], row.case_id is not None)
        for row in sorted(rows, key=lambda row: row.id)
    ]


def handed(city) -> list[tuple]:
    """Return number, text and kind of each hand-over."""
    return [
        (h.case.number[-6:], h.message.text, h.message.amendment)
        for h in city.outside.handovers
    ]


async def test_edit_follows_into_the_case(tmp_path, url):
    """The office gets what the message has become; the original stays as it was."""
    async with small_city(tmp_path, url=url) as city:
        first = await city.say(text="una buca")
        await city.settle()
        await city.say(text="una voragine", amends=first, amendment="edit")
        await city.settle()

        assert [("000001", "una buca", None), ("000001", "una voragine", "edit")] == (
            handed(city)
        )
        assert ["processed"] * 2 == [state for state, _, _ in await inbound(city)]
        assert 1 == len(city.outside.notices)


async def test_edit_joins_a_case_that_is_no_longer_open(tmp_path):
    """However long ago: it is the same matter, and no new number."""
    async with small_city(tmp_path) as city:
        first = await city.say(text="una buca")
        await city.settle()
        closed = schema.cases.update().values(status="closed")
        await city.gateway.store.run(lambda c: c.execute(closed))
        await city.say(text="un lampione")
        await city.settle()
        await city.say(text="una voragine", amends=first, amendment="edit")
        await city.settle()

        assert ["000001", "000002", "000001"] == [n for n, _, _ in handed(city)]


async def test_revocation_is_told_to_the_office(tmp_path, url):
    """That the citizen took it back; what it said is kept as evidence."""
    async with small_city(tmp_path, url=url) as city:
        first = await city.say(text="una buca")
        await city.settle()
        await city.say(amends=first, amendment="revocation")
        await city.settle()

        assert ("000001", "", "revocation") == handed(city)[-1]
        assert ("processed", "una buca", True) == (await inbound(city))[0]


async def test_reaction_stays_with_its_message(tmp_path, url):
    """It is in the case, and nobody is sent anything; also on what we said."""
    async with small_city(tmp_path, url=url) as city:
        first = await city.say(text="una buca")
        await city.settle()
        await city.say(text="👍", amends=first, amendment="reaction")
        ours = f"sent-{city.outside.notices[0].delivery_id}"
        await city.say(text="❤", amends=ours, amendment="reaction")
        await city.settle()

        assert 1 == len(city.outside.handovers)
        assert 1 == len(city.outside.notices)
        assert [("processed", "👍", True), ("processed", "❤", True)] == (
            (await inbound(city))[1:]
        )
        assert 1 == len(await city.rows(schema.cases))


@pytest.mark.parametrize("amendment", ["revocation", "reaction"])
async def test_about_nothing_we_know_opens_no_case(tmp_path, amendment):
    """It is kept, and that is all."""
    async with small_city(tmp_path) as city:
        await city.say(text="👍", amends="nothing", amendment=amendment)
        await city.settle()

        assert [("processed", "👍", False)] == await inbound(city)
        assert [] == city.outside.handovers
        assert [] == city.outside.notices


async def test_edit_of_nothing_we_know_is_a_message(tmp_path):
    """Better twice than never."""
    async with small_city(tmp_path) as city:
        await city.say(text="una buca", amends="nothing", amendment="edit")
        await city.settle()

        assert [("000001", "una buca", "edit")] == handed(city)
        assert 1 == len(city.outside.notices)


async def test_edit_of_what_is_held_is_held(tmp_path):
    """A held message does not get out by being edited; nobody is told twice."""
    async with small_city(tmp_path, Moderator()) as city:
        first = await city.say(text="rude")
        await city.settle()
        await city.say(text="polite", amends=first, amendment="edit")
        await city.settle()

        assert ["held", "held"] == [state for state, _, _ in await inbound(city)]
        assert [] == city.outside.handovers
        assert 1 == len(city.outside.notices)


async def test_edit_is_moderated(tmp_path):
    """What was fine may become what is not."""
    async with small_city(tmp_path, Moderator()) as city:
        first = await city.say(text="polite")
        await city.settle()
        await city.say(text="rude", amends=first, amendment="edit")
        await city.settle()

        assert ["processed", "held"] == [state for state, _, _ in await inbound(city)]
        assert 1 == len(city.outside.handovers)


async def test_nobody_amends_for_others(tmp_path, url):
    """An edit of somebody else's message is a message of one's own."""
    async with small_city(tmp_path, url=url) as city:
        annas = await city.say(text="una buca")
        await city.settle()
        await city.say(sender="bea", text="altro", amends=annas, amendment="edit")
        await city.say(sender="bea", amends=annas, amendment="revocation")
        await city.settle()

        assert ["000001", "000002"] == [number for number, _, _ in handed(city)]


async def test_new_number_is_the_same_person(tmp_path, url):
    """Cases go on; the office's answer goes to where the citizen is now."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(sender="anna", text="una buca")
        await city.settle()
        await city.say(sender="anna", moved_to="anna-new")
        await city.settle()
        handover = city.outside.handovers[0]
        await city.say(
            channel="mail",
            sender="urp@office",
            text="riparata",
            references=[f"<{handover.delivery_id}@office>"],
        )
        await city.settle()
        await city.say(sender="anna-new", text="grazie")
        await city.settle()

        assert "phone:anna-new" == str(city.outside.notices[-1].to)
        assert {"000001"} == {number for number, _, _ in handed(city)}
        (contact,) = await city.rows(schema.contact)
        moved = [
            e for e in await city.rows(schema.event) if e.action == "contact.moved"
        ]
        assert [contact.id] == [event.subject for event in moved]


async def test_two_contacts_become_one(tmp_path, url):
    """Who had written from both is one from now on; old cases stay where they are."""
    async with small_city(tmp_path, url=url) as city:
        for sender in ("anna", "anna-new"):
            await city.say(sender=sender, text="una buca")
            await city.settle()
        await city.say(sender="anna", moved_to="anna-new")
        await city.settle()

        addresses = {r.uri: r.contact_id for r in await city.rows(schema.address)}
        assert 1 == len({v for k, v in addresses.items() if "anna" in k})
        reply_to = {row.reply_to for row in await city.rows(schema.conversation)}
        assert {"phone:anna-new"} == reply_to


async def test_change_of_somebody_unknown_changes_nothing(tmp_path):
    """Nobody we know moved."""
    async with small_city(tmp_path) as city:
        await city.say(sender="zoe", moved_to="zoe-new")
        await city.settle()

        assert [] == await city.rows(schema.contact)
        assert [] == await city.rows(schema.dead_letter)
