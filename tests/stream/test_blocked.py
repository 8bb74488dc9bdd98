"""Blocked people: what they say is kept and refused; all else goes on as before."""

from __future__ import annotations

import pytest
from small_city import City, Outside, small_city

from gateway import blocks, dead_letters, people
from gateway.errors import DeliveryError, NotFound
from gateway.model import Action, Contact, ContactId, Message, Verdict
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema


async def contact_of(city: City, uri: str = "phone:anna") -> str:
    return await city.gateway.store.read(lambda c: people.by_name(c, uri))


async def block(city: City, uri: str = "phone:anna") -> str:
    """Block whoever has an address; return their contact."""
    contact = await contact_of(city, uri)
    mirrors = city.gateway.recorder.mirrors
    await city.gateway.store.run(
        lambda c: blocks.block(c, contact, "insults", "staff", mirrors=mirrors)
    )
    return contact


async def unblock(city: City, uri: str = "phone:anna") -> None:
    contact, mirrors = await contact_of(city, uri), city.gateway.recorder.mirrors
    await city.gateway.store.run(
        lambda c: blocks.unblock(c, contact, "staff", mirrors=mirrors)
    )


async def blocked(city: City, **said: object) -> str:
    """Let anna say something, and block her; return what she said."""
    first = await city.say(**{"text": "una buca", **said})
    await city.settle()
    await block(city)
    await city.settle()
    return first


async def inbound(city: City) -> list:
    rows = [row for row in await city.rows(schema.message) if row.direction == "in"]
    return sorted(rows, key=lambda row: row.id)


async def told(city: City, action: str) -> list:
    """Return the data of the events of a kind."""
    rows = sorted(await city.rows(schema.event), key=lambda row: row.seq)
    return [row.data for row in rows if row.action == action]


async def test_message_is_kept_and_refused(tmp_path, url):
    """As evidence: no case, no office, no notice, no file; staff see why."""
    async with small_city(tmp_path, url=url) as city:
        await blocked(city)
        await city.say(text="un insulto", files=["f"])
        await city.settle(waiting=1)

        _, refused = await inbound(city)
        assert ("rejected", None) == (refused.state, refused.case_id)
        assert refused.reason.startswith(blocks.REASON)
        assert "un insulto" in refused.body
        assert 1 == len(city.outside.handovers) == len(city.outside.notices)
        (file,) = await city.rows(schema.attachment)
        assert ("lost", blocks.NOTE, None) == (file.state, file.note, file.sha256)
        assert 1 == len(await city.rows(schema.cases))
        (event,) = await told(city, "message.rejected")
        assert '"blocked":true' in event


async def test_others_are_heard(tmp_path, url):
    """Also in the same batch; and the blocked one again, once it is lifted."""
    async with small_city(tmp_path, url=url) as city:
        await blocked(city)
        for sender in ("anna", "bea", "anna", "cleo"):
            await city.say(sender=sender, text="un lampione")
        await city.settle(waiting=1)
        assert {"anna", "bea", "cleo"} == {n.to.value for n in city.outside.notices}
        assert 3 == len(city.outside.handovers)

        await unblock(city)
        await city.say(text="una buca, per favore")
        await city.settle(waiting=1)

        assert "processed" == (await inbound(city))[-1].state
        assert "una buca, per favore" == city.outside.handovers[-1].message.text


@pytest.mark.parametrize("kind", ["edit", "revocation", "reaction"])
async def test_amendments_are_refused(tmp_path, kind, url):
    """The office does not get to read them, and the case stays as it was."""
    async with small_city(tmp_path, url=url) as city:
        first = await blocked(city)
        await city.say(text="un insulto", amends=first, amendment=kind)
        await city.say(text="un insulto", amends="nothing", amendment=kind)
        await city.settle(waiting=1)

        assert ["processed", "rejected", "rejected"] == [
            row.state for row in await inbound(city)
        ]
        assert 1 == len(city.outside.handovers) == len(city.outside.notices)


async def test_answer_to_their_case_still_goes_out(tmp_path, url):
    """It is their case all the same, and what they read of it counts."""
    async with small_city(tmp_path, url=url) as city:
        await blocked(city)
        office = city.outside.handovers[0]
        await city.say(
            channel="mail",
            sender="urp@office",
            text="fatto",
            references=[f"<{office.delivery_id}@office>"],
        )
        await city.settle()
        answer = city.outside.notices[-1]
        await city.report("read", of=f"sent-{answer.delivery_id}")
        await city.settle()

        assert ("anna", "answer") == (answer.to.value, answer.purpose)
        states = {row.id: row.state for row in await city.rows(schema.delivery)}
        assert "read" == states[answer.delivery_id]


async def test_answer_in_the_place_of_an_office_is_refused(tmp_path, url):
    """What would be held from anybody else; not what the office itself says."""
    async with small_city(tmp_path, url=url) as city:
        await blocked(city)
        reference = f"<{city.outside.handovers[0].delivery_id}@office>"
        await city.say(text="un insulto", files=["f"], references=[reference])
        await city.say(sender="bea", text="anch'io", references=[reference])
        await city.settle()

        assert ["processed", "rejected", "held"] == [
            row.state for row in await inbound(city)
        ]
        assert ["lost"] == [row.state for row in await city.rows(schema.attachment)]

        # It stands in the conversation of the citizen whom the office serves.
        forged = (await inbound(city))[-1].id
        with pytest.raises(NotFound):
            await contact_of(city, forged)


async def test_block_holds_at_each_address(tmp_path, url):
    """On another channel, at a new number, and after a merge of contacts."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(sender="anna-2", text="un lampione")
        await blocked(city)
        await city.say(channel="mail", text="da qui")
        await city.say(moved_to="anna-2", **{"from": "anna"})
        await city.settle(waiting=1)
        await city.say(sender="anna-2", text="dal numero nuovo")
        await city.settle(waiting=2)

        refused = [row.state for row in await inbound(city)]
        assert ["processed", "processed", "rejected", "rejected"] == refused


async def test_number_in_other_hands_is_free(tmp_path, url):
    """Its new owner is heard; the old one is not, whichever number they have."""
    async with small_city(tmp_path, url=url) as city:
        anna = {"sender": "IT.anna", "stable": True}
        await city.say(text="una buca", aliases=["333"], **anna)
        await city.settle()
        await block(city, "phone:333")
        await city.settle()
        await city.say(sender="IT.bea", aliases=["333"], stable=True, text="un albero")
        await city.settle()
        await city.say(sender="333", text="e un lampione")
        await city.say(text="un insulto", aliases=["444"], **anna)
        await city.settle(waiting=1)

        assert ["processed", "processed", "processed", "rejected"] == [
            row.state for row in await inbound(city)
        ]


class Registry(Plugin[NoConfig]):
    """Knows who somebody is by what they say, and holds what is rude."""

    @hookimpl
    async def identify_contact(self, message: Message) -> Contact | None:
        return Contact(id=ContactId("person-17")) if "17" in message.text else None

    @hookimpl
    async def moderate_message(self, message: Message) -> Verdict | None:
        if "rude" not in message.text:
            return None
        return Verdict(action=Action.HOLD, rule="r", reason="r", source="moderator")


async def test_who_it_is_by_a_plugin_counts(tmp_path, url):
    """A person is blocked wherever they write from, and nobody else who writes there.

    What moderators say of it is kept with it.
    """
    async with small_city(tmp_path, Registry(), url=url) as city:
        await city.say(text="sono 17")
        await city.say(sender="bea", text="bea")
        await city.settle()
        await block(city, "person-17")
        await city.settle()
        await city.say(sender="bea", text="17 rude")
        await city.say(sender="bea", text="bea")
        await city.settle(waiting=1)

        assert ["processed", "processed", "rejected", "processed"] == [
            row.state for row in await inbound(city)
        ]
        assert ["hold"] == [row.action for row in await city.rows(schema.verdict)]


async def test_providers_are_told(tmp_path, url):
    """Each with a list on which the contact has written; it is on the record."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(channel="mail", text="una buca")
        await city.say(channel="album", text="una buca")
        await blocked(city)
        assert [("mail", "anna", True), ("phone", "anna", True)] == sorted(
            city.outside.blocked
        )
        city.outside.blocked.clear()
        await unblock(city)
        await city.settle()

        assert {("mail", "anna", False), ("phone", "anna", False)} == set(
            city.outside.blocked
        )
        mirrored = await told(city, "contact.block_mirrored")
        assert 4 == len(mirrored)
        assert '{"blocked":false,"channel":"phone","code":"","done":true}' in mirrored


async def test_list_follows_to_a_new_address(tmp_path, url):
    """Where a blocked contact writes from by now."""
    async with small_city(tmp_path, url=url) as city:
        await blocked(city)
        await city.say(moved_to="anna-2", **{"from": "anna"})
        await city.settle()

        assert ("phone", "anna-2", True) == city.outside.blocked[-1]


async def test_last_word_is_how_it_is(tmp_path, url):
    """Blocked, lifted and blocked while the provider is away: blocked in the end."""
    outside = Outside()
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await city.say(text="una buca")
        await city.settle()
        busy = DeliveryError("busy", "no", retryable=True)
        outside.block_answers = [busy, busy, RuntimeError("a bug"), busy]
        await block(city)
        await unblock(city)
        await block(city)
        await city.settle()

        assert ("phone", "anna", True) == outside.blocked[-1]
        assert [] == await city.rows(schema.dead_letter)


async def test_lifted_in_the_end(tmp_path, url):
    """The other way round: an old job does not block again."""
    outside = Outside()
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await city.say(text="una buca")
        await city.settle()
        outside.block_answers = [DeliveryError("busy", "no", retryable=True)]
        await block(city)
        await city.until(lambda: not outside.block_answers)
        await unblock(city)
        await city.settle()

        assert ("phone", "anna", False) == outside.blocked[-1]


async def test_provider_that_will_not_is_noted(tmp_path, url):
    """No dead letter: the gateway refuses what they say anyway."""
    outside = Outside(block_answers=["too_late"])
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await blocked(city)

        (event,) = await told(city, "contact.block_mirrored")
        assert '{"blocked":true,"channel":"phone","code":"too_late","done":false}' == (
            event
        )
        assert [] == await city.rows(schema.dead_letter)


async def test_provider_is_told_again_when_they_write(tmp_path, url):
    """Once within a minute, however much they write."""
    outside = Outside(block_answers=["too_late"])
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await blocked(city)
        for _ in range(3):
            await city.say(text="un insulto")
        await city.settle(waiting=1)
        (job,) = await city.rows(schema.job)
        assert "block:phone" == job.queue

        due = schema.job.update().values(due_at=job.created_at)
        await city.gateway.store.run(lambda c: c.execute(due))
        await city.settle()

        assert [("phone", "anna", True)] * 2 == outside.blocked


async def test_refusal_becomes_a_dead_letter(tmp_path, url):
    """Staff see it, and may have it tried again."""
    outside = Outside(block_answers=[DeliveryError("full", "f", retryable=False)])
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await blocked(city)
        (letter,) = await city.rows(schema.dead_letter)
        assert ("block:phone", "full") == (letter.queue, letter.code)
        assert letter.subject == await contact_of(city)

        await city.gateway.store.run(
            lambda c: dead_letters.resurrect(c, letter.id, "staff")
        )
        await city.settle()
        assert [("phone", "anna", True)] == outside.blocked


async def test_what_is_on_its_way_goes_first(tmp_path, url):
    """A provider refuses what we send to people on its list: it is told afterwards."""
    outside = Outside(faults=[DeliveryError("busy", "no", retryable=True)] * 3)
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await city.say(text="una buca")
        await city.until(lambda: len(outside.faults) < 3)
        await block(city)
        await city.until(lambda: bool(outside.blocked))

        assert [] == outside.faults
        assert ["anna"] == [n.to.value for n in outside.notices]
