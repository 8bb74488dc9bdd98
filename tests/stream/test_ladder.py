"""An answer that its channel can't take: by a template, elsewhere, or to staff."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from small_city import UNREACHABLE, City, Outside, small_city
from sqlalchemy import Connection, update
from test_staff import do, reference
from test_standing import OnePerson, told

from gateway import campaigns, closing, consents, contacts, forgetting, people
from gateway.errors import DeliveryError
from gateway.model import Contact, ContactId, Message
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema

REFUSED = DeliveryError("needs_template", "no", retryable=False)
LOST = DeliveryError("timeout", "no", retryable=False, unknown=True)
NEVER = [UNREACHABLE] * 1000
AGREE = "Rispondetemi anche via letter"
WITHDRAW = "Risposte via letter no"


async def agreed(
    city: City, channel: str = "phone", sender: str = "anna", other: str = "letter"
) -> None:
    """Let Anna write on two channels, and agree to be answered on the ``other``."""
    await city.say(channel=other, sender=f"anna-{other}", text="un lampione")
    await city.settle()
    await city.say(channel=channel, sender=sender, text="una buca")
    await city.settle()
    agree = f"Rispondetemi anche via {other}"
    await city.say(channel=channel, sender=sender, text=agree)
    await city.settle()
    city.outside.notices.clear()


async def answer(city: City, text: str = "Fatto.", **more: object) -> None:
    """Let the office answer what it got last."""
    named = [reference(city)]
    await city.say(sender="urp@office", text=text, references=named, **more)


async def steps(city: City) -> list[tuple[str, str, str | None]]:
    """Return where answers went: target, state, rung."""
    return [
        (row.target.removeprefix("channel:"), row.state, row.rung)
        for row in await city.rows(schema.delivery)
        if row.purpose == "answer"
    ]


def heard(city: City) -> list[tuple[str, bool]]:
    """Return who got something, and whether it is the answer."""
    return [(n.to.value, "Fatto." in n.text) for n in city.outside.notices]


async def test_answer_goes_where_its_citizen_agreed(tmp_path, url):
    """Once, and not where it was refused; what they reply there joins the case."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await agreed(city)
        city.outside.faults.append(REFUSED)
        await answer(city)
        await city.settle()

        assert [("anna-letter", True)] == heard(city)
        (notice,) = city.outside.notices
        assert "risposte via letter no" in notice.text
        assert [
            ("phone", "passed_on", None),
            ("letter", "sent", "other_address"),
        ] == await steps(city)
        assert [] == await city.rows(schema.dead_letter)

        await city.say(
            channel="letter",
            sender="anna-letter",
            text="Grazie!",
            references=[f"sent-{notice.delivery_id}"],
        )
        await city.settle()
        last = city.outside.handovers[-1]
        assert (notice.case_number, "Grazie!") == (last.case.number, last.message.text)


async def test_words_are_on_the_record_without_the_address(tmp_path, url):
    """Given once, withdrawn: with the words and the time; the proof stays."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await agreed(city)
        assert "via letter" in await told(city, AGREE, sender="anna")
        assert "via letter" in await told(city, WITHDRAW, sender="anna")
        (row,) = await city.rows(schema.consent)
        said = {e.id: e.body for e in await city.rows(schema.message)}
        events = [
            (e.action, e.actor, orjson.loads(e.data)["channel"])
            for e in await city.rows(schema.event)
            if "agree" in e.action
        ]
        trail = "".join(e.data for e in await city.rows(schema.event))

        assert AGREE in said[row.message_id]
        assert ("phone:anna-letter", "citizen") == (row.uri, row.ended_by)
        assert [
            ("contact.agreed", "citizen", "letter"),
            ("contact.agreement_ended", "citizen", "letter"),
        ] == events
        assert "anna-letter" not in trail
        cases = {h.message.text for h in city.outside.handovers}
        assert {"una buca", "un lampione"} == cases


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ({"authentic": False}, "whoever may be forged"),
        ({"sender": "bea"}, "somebody else"),
    ],
)
async def test_who_has_not_written_there_is_not_answered_there(
    tmp_path, url, said: dict[str, Any], about: str
):
    """No words make an address somebody's who has never written from it."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await city.say(channel="letter", sender="anna-letter", text="un lampione")
        await city.settle()
        await told(city, AGREE, **({"sender": "anna"} | said))

        assert [] == await city.rows(schema.consent), about


async def test_without_consent_it_is_for_staff(tmp_path, url):
    """As ever: a dead letter; so too if the city wants no other address."""
    for gateway in ("", 'answer_ladder = ["template", "staff"]'):
        folder = tmp_path / str(len(gateway))
        folder.mkdir()
        async with small_city(
            folder, OnePerson(), url="sqlite:///g.db", gateway=gateway
        ) as city:
            await city.say(channel="letter", sender="anna-letter", text="un lampione")
            await city.settle()
            await city.say(sender="anna", text=AGREE if gateway else "una buca")
            await city.settle()
            city.outside.notices.clear()
            city.outside.faults.append(REFUSED)
            await answer(city)
            await city.settle()

            assert [] == city.outside.notices
            (letter,) = await city.rows(schema.dead_letter)
            assert "needs_template" == letter.code


async def _waiting_elsewhere(city: City) -> None:
    """Let an answer wait for the second channel, which is down."""
    await agreed(city)
    city.outside.faults += [REFUSED, *NEVER]
    await answer(city)
    await city.until(lambda: len(city.outside.faults) < len(NEVER) - 1)


async def test_withdrawn_while_it_waits_it_never_leaves(tmp_path, url):
    """The consent counts at the moment of sending."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await _waiting_elsewhere(city)
        before = len(city.outside.handovers)

        def withdraw(connection):
            consents.end(connection, consents.of_contact(connection, "anna"), "staff")

        await city.gateway.store.run(withdraw)
        city.outside.faults.clear()
        await city.settle()

        assert [] == city.outside.notices
        assert before == len(city.outside.handovers)
        (letter,) = await city.rows(schema.dead_letter)
        assert "not_agreed" == letter.code


async def test_address_lost_while_it_waits_gets_nothing(tmp_path, url):
    """It is another's by now: who has it reads nothing of Anna's."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await _waiting_elsewhere(city)

        def hand_on(connection):
            row = {"id": "bea", "name": ""}
            connection.execute(schema.contact.insert().values(row))
            address = schema.address
            connection.execute(
                update(address)
                .where(address.c.uri == "phone:anna-letter")
                .values(contact_id="bea")
            )

        await city.gateway.store.run(hand_on)
        city.outside.faults.clear()
        await city.settle()

        assert [] == city.outside.notices
        (letter,) = await city.rows(schema.dead_letter)
        assert "not_agreed" == letter.code


async def test_first_number_lost_while_it_waits(tmp_path, url):
    """The case's own number is somebody else's by now: that ends it, too."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await _waiting_elsewhere(city)

        def hand_on(connection):
            connection.execute(schema.contact.insert().values(id="bea", name=""))
            address = schema.address
            connection.execute(
                update(address)
                .where(address.c.uri == "phone:anna")
                .values(contact_id="bea")
            )

        await city.gateway.store.run(hand_on)
        city.outside.faults.clear()
        await city.settle()

        assert [] == city.outside.notices


async def test_moved_citizen_keeps_what_they_agreed_to(tmp_path, url):
    """Another number is still the same person."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await agreed(city)
        await city.say(sender="anna", moved_to="anna-new")
        await city.settle()
        city.outside.faults.append(REFUSED)
        await answer(city)
        await city.settle()

        assert [("anna-letter", True)] == heard(city)


async def test_who_has_become_one_with_another_keeps_it(tmp_path, url):
    """Two numbers were one person's all the time: both cases' answers arrive."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(channel="letter", sender="anna", text="un lampione")
        await city.settle()
        await city.say(sender="anna-two", text="una buca")
        await city.settle()
        await city.say(channel="letter", sender="anna", moved_to="anna-two")
        await city.settle()
        await city.gateway.store.run(lambda c: _note(c, "phone:anna-two"))
        city.outside.notices.clear()
        city.outside.refused = {"anna-two"}
        await answer(city)
        await city.settle()

        assert [("casa", True)] == heard(city)


class NamedInTheText(Plugin[NoConfig]):
    """Knows people by what they write, from whosever address they do."""

    @hookimpl
    async def identify_contact(self, message: Message) -> Contact | None:
        return Contact(id=ContactId("bea")) if "Bea" in message.text else None


async def test_who_writes_from_another_s_address_is_not_taken_for_them(tmp_path, url):
    """Anna agreed to be answered at home; what Bea asked by Anna's telephone stays."""
    async with small_city(tmp_path, NamedInTheText(), url=url) as city:
        await city.say(sender="anna", text="un lampione")
        await city.settle()
        await city.gateway.store.run(lambda c: _note(c, "phone:anna"))
        await city.say(sender="anna", text="una buca. Bea")
        await city.settle()
        city.outside.notices.clear()
        city.outside.refused = {"anna"}
        await answer(city)
        await city.settle()

        assert [] == heard(city)
        (letter,) = await city.rows(schema.dead_letter)
        assert "refused" == letter.code


def _note(connection: Connection, uri: str) -> None:
    """Let whoever has an address agree to be answered at home by letter, too."""
    who = people.by_name(connection, uri)
    contacts.add_address(connection, who, "phone:casa", "staff")
    agreement = consents.Agreement(
        contact_id=who, uri="phone:casa", channel="letter", by="staff", note="modulo"
    )
    consents.give(connection, agreement)


async def test_refused_there_too_it_is_for_staff(tmp_path, url):
    """No rung is left."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await agreed(city)
        city.outside.faults += [REFUSED, DeliveryError("gone", "no", retryable=False)]
        await answer(city)
        await city.settle()

        assert [] == city.outside.notices
        (letter,) = await city.rows(schema.dead_letter)
        assert ("gone", "deliver:channel:letter") == (letter.code, letter.queue)


async def test_what_may_have_arrived_goes_nowhere_else(tmp_path, url):
    """Nobody reads an answer twice: staff decide."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await agreed(city)
        city.outside.faults.append(LOST)
        await answer(city)
        await city.settle()

        assert [] == city.outside.notices
        assert [("phone", "dead", None)] == await steps(city)


async def test_failure_told_later_goes_on_as_well(tmp_path, url):
    """The provider took it, and says that it could not deliver it: only once."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await agreed(city)
        await answer(city)
        await city.settle()
        (sent,) = city.outside.notices
        for _ in range(2):
            await city.report("failed", of=f"sent-{sent.delivery_id}", code="131026")
            await city.settle()

        assert [("anna", True), ("anna-letter", True)] == heard(city)
        assert [] == await city.rows(schema.dead_letter)


async def test_files_come_as_the_other_channel_wants_them(tmp_path, url):
    """One answer with its files becomes a text and two pictures."""
    outside = Outside(files={"a": [b"eins"], "b": [b"zwei"]}, refused={"anna"})
    async with small_city(tmp_path, OnePerson(), url=url, outside=outside) as city:
        await agreed(city, other="album")
        await answer(city, files=["a", "b"])
        await city.settle()

        assert [
            ("answer", []),
            ("enclosure:0", ["eins"]),
            ("enclosure:1", ["zwei"]),
        ] == [
            (n.purpose, [e.path.read_text() for e in n.enclosures])
            for n in city.outside.notices
        ]
        assert {"anna-album"} == {n.to.value for n in city.outside.notices}


async def test_each_part_that_was_refused_goes_on(tmp_path, url):
    """Two pictures refused are two letters, which say why they come."""
    outside = Outside(files={"a": [b"eins"], "b": [b"zwei"]}, refused={"anna-album"})
    async with small_city(tmp_path, OnePerson(), url=url, outside=outside) as city:
        await agreed(city, channel="album", sender="anna-album")
        await answer(city, files=["a", "b"])
        await city.settle()

        assert ["answer", "enclosure:0", "enclosure:1"] == sorted(
            n.purpose for n in city.outside.notices
        )
        for notice in city.outside.notices:
            assert "risposte via letter no" in notice.text
            assert "anna-letter" == notice.to.value


CHAT = {"channel": "chat", "sender": "anna-late"}


@pytest.mark.parametrize(
    ("rungs", "expected", "to"),
    [
        (["template", "other_address"], [("chat", "sent", "template")], "anna-late"),
        (
            ["other_address", "template"],
            [("chat", "passed_on", None), ("letter", "sent", "other_address")],
            "anna-letter",
        ),
        (
            ["other_address"],
            [("chat", "passed_on", None), ("letter", "sent", "other_address")],
            "anna-letter",
        ),
    ],
)
async def test_rungs_are_tried_in_the_city_s_order(tmp_path, url, rungs, expected, to):
    """A template first, or the other address first, or no template at all."""
    gateway = f"answer_ladder = {[*rungs, 'staff']}"
    async with small_city(tmp_path, OnePerson(), url=url, gateway=gateway) as city:
        await agreed(city, **CHAT)
        await answer(city)
        await city.settle()

        assert [(to, True)] == heard(city)
        assert expected == await steps(city)


async def test_template_never_goes_to_a_number_that_is_another_s(tmp_path, url):
    """Not even where the other address was tried first, and is no way any more."""
    gateway = 'answer_ladder = ["other_address", "template", "staff"]'
    async with small_city(tmp_path, OnePerson(), url=url, gateway=gateway) as city:
        await agreed(city, **CHAT)
        city.outside.faults += NEVER
        await answer(city)
        await city.until(lambda: len(city.outside.faults) < len(NEVER))

        def hand_on(connection):
            connection.execute(schema.contact.insert().values(id="bea", name=""))
            address = schema.address
            connection.execute(
                update(address)
                .where(address.c.uri == "phone:anna-late")
                .values(contact_id="bea")
            )

        await city.gateway.store.run(hand_on)
        city.outside.faults.clear()
        await city.settle()

        assert [] == city.outside.notices
        (letter,) = await city.rows(schema.dead_letter)
        assert "not_agreed" == letter.code


@pytest.mark.parametrize("agrees", [True, False])
async def test_template_after_the_other_address(tmp_path, url, agrees):
    """If that fails, or there is none: on the first channel, once."""
    gateway = 'answer_ladder = ["other_address", "template", "staff"]'
    async with small_city(tmp_path, OnePerson(), url=url, gateway=gateway) as city:
        await agreed(city, **CHAT)
        if agrees:
            refused = DeliveryError("gone", "no", retryable=False)
            city.outside.faults.append(refused)
        else:
            await city.say(text=WITHDRAW, **CHAT)
            await city.settle()
            city.outside.notices.clear()
        await answer(city)
        await city.settle()

        assert [("anna-late", True)] == heard(city)
        assert ("chat", "sent", "template") in await steps(city)
        assert [] == await city.rows(schema.dead_letter)


async def test_erasure_takes_the_consents_along(tmp_path, url):
    """Once nothing of theirs is open; those that have ended, too."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await agreed(city)
        await told(city, WITHDRAW, sender="anna")
        await told(city, AGREE, sender="anna")
        for row in await city.rows(schema.cases):
            await do(city, closing.close, row.number)
        assert 2 == len(await city.rows(schema.consent))
        await city.gateway.store.run(
            lambda c: forgetting.forget(c, "anna", "request", "staff")
        )

        assert [] == await city.rows(schema.consent)


async def test_campaign_reaches_nobody_who_never_wrote_there(tmp_path):
    """Who agreed to answers did not agree to news."""
    async with small_city(tmp_path, OnePerson()) as city:
        await city.say(sender="anna", text="una buca")
        await city.settle()
        await city.gateway.store.run(lambda c: _note(c, "phone:anna"))
        city.outside.faults.append(REFUSED)
        await answer(city)
        await city.settle()
        assert ("casa", True) == heard(city)[-1]

        found = await city.gateway.store.read(
            lambda c: campaigns.find_readers(c, "letter", ["phone:casa"])
        )
        assert ((), ("phone:casa",)) == (found.conversations, found.skipped)
