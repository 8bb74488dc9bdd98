"""A citizen asks how things stand, and begins something new."""

from __future__ import annotations

import re

import orjson
from small_city import City, small_city

from gateway.model import Contact, ContactId, Item, Message
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema


class OnePerson(Plugin[NoConfig]):
    """Knows that Anna's telephone and her letters are one person's."""

    @hookimpl
    async def identify_contact(self, message: Message) -> Contact | None:
        if not message.sender.value.startswith("anna"):
            return None
        return Contact(id=ContactId("anna"), name="Anna")


async def told(city: City, text: str, **said: object) -> str:
    """Let somebody say something; return what they are told."""
    before = len(city.outside.notices)
    await city.say(text=text, **said)
    await city.settle()
    return "\n".join(notice.text for notice in city.outside.notices[before:])


async def number_of(city: City, text: str, **said: object) -> str:
    """Let somebody report something; return the number they get."""
    found = re.search(r"URP-\d+-\d+", await told(city, text, **said))
    return found[0] if found else ""


async def test_citizen_is_told_how_it_stands(tmp_path, url):
    """State, office and dates; no office reads the question, and no case is opened."""
    async with small_city(tmp_path, url=url) as city:
        number = await number_of(city, "una buca")
        by_number = await told(city, f"stato {number.lower()}")
        by_itself = await told(city, "Stato?")

        assert by_number == by_itself
        assert by_number.startswith(f"{number}: in carico all'ufficio. Ufficio: URP.")
        assert 1 == len(city.outside.handovers)
        assert 1 == len(await city.rows(schema.cases))
        events = await city.rows(schema.event)
        asked = [orjson.loads(e.data) for e in events if e.action.endswith("_asked")]
        assert [True, True] == [each["answered"] for each in asked]


async def test_nobody_learns_of_the_cases_of_others(tmp_path, url):
    """Somebody else's number and one that does not exist read the same."""
    async with small_city(tmp_path, url=url) as city:
        number = await number_of(city, "una buca")
        theirs = await told(city, f"stato {number}", sender="bea")
        unknown = await told(city, "stato URP-2026-999999", sender="bea")
        nothing = await told(city, "stato", sender="bea")

        assert theirs == unknown.replace("URP-2026-999999", number)
        assert "Non ha segnalazioni aperte." == nothing
        assert 1 == len(await city.rows(schema.cases))


async def test_the_same_person_may_ask_elsewhere(tmp_path, url):
    """By letter about what they said by telephone; nobody else may."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        number = await number_of(city, "una buca", sender="anna")
        told_anna = await told(
            city, f"stato {number}", channel="letter", sender="anna@x"
        )
        told_bea = await told(city, f"stato {number}", channel="letter", sender="bea")

        assert "in carico" in told_anna
        assert "Non ci risulta" in told_bea


async def test_question_of_a_machine_is_held(tmp_path):
    """Automatic mail is never answered, whatever it says (RFC 3834)."""
    async with small_city(tmp_path) as city:
        await told(city, "una buca", channel="letter")

        assert "" == await told(city, "stato", channel="letter", automatic=True)


async def test_two_machines_fall_silent(tmp_path):
    """Where machines may answer each other, six answers are enough."""
    async with small_city(tmp_path) as city:
        await told(city, "una buca", channel="letter")
        answers = [await told(city, "stato", channel="letter") for _ in range(8)]
        forged = await told(city, "stato", channel="letter", authentic=False)

        assert [True] * 6 + [False] * 2 == [bool(each) for each in answers]
        assert not forged


async def test_something_new_is_a_case_of_its_own(tmp_path, url):
    """With the word and what follows at once; what comes then joins the new one."""
    async with small_city(tmp_path, url=url) as city:
        first = await number_of(city, "una buca")
        second = await number_of(city, "nuova segnalazione\nun lampione")
        await told(city, "è spento")

        assert first != second
        said = [(h.case.number, h.message.text) for h in city.outside.handovers]
        assert (second, "è spento") == said[-1]


async def test_the_word_alone_waits_for_the_report(tmp_path, url):
    """The word opens nothing; the next message does, and what follows joins that."""
    async with small_city(tmp_path, url=url) as city:
        first = await number_of(city, "una buca")
        asked = await told(city, "Nuova")
        second = await number_of(city, "un lampione")
        await told(city, "è spento")

        assert "Scriva pure" in asked
        assert 2 == len(await city.rows(schema.cases))
        said = [(h.case.number, h.message.text) for h in city.outside.handovers]
        expected = [(first, "una buca"), (second, "un lampione"), (second, "è spento")]
        assert expected == said


async def test_menu_offers_something_new(tmp_path):
    """Where one can choose, a tap does it: its title is the word."""
    async with small_city(tmp_path) as city:
        await told(city, "una buca", channel="album")
        await told(city, "stato", channel="album")
        (option,) = city.outside.notices[-1].menu.options
        asked = await told(city, option.title, channel="album", choice=option.id)

        assert "Scriva pure" in asked


async def test_the_question_finds_what_a_merged_contact_said(tmp_path, url):
    """Who was two until they changed their number is told of both, and nobody else."""
    async with small_city(tmp_path, url=url) as city:
        old = await number_of(city, "una buca", sender="anna")
        new = await number_of(city, "un lampione", sender="anna2")
        await number_of(city, "un albero", sender="bea")
        move = orjson.dumps({"from": "anna", "moved_to": "anna2"})
        item = Item(external_id="move", sender="anna")
        await city.gateway.inbox.accept("phone", move, [item])
        await city.settle()
        every = await told(city, "stato", sender="anna2")
        one = await told(city, f"stato {new}", sender="anna2")
        theirs = await told(city, f"stato {new}", sender="bea")
        others = await told(city, "stato", sender="bea")

        assert [True, True] == [number in every for number in (old, new)]
        assert "albero" not in every
        assert 2 == every.count("URP-")
        assert one.startswith(new)
        assert "Non ci risulta" in theirs
        assert 1 == others.count("URP-")


async def test_number_that_somebody_else_has_by_now_tells_nothing(tmp_path):
    """The old number's next owner is another person, though its contact was merged."""
    async with small_city(tmp_path) as city:
        old = await number_of(city, "una buca", sender="anna")
        new = await number_of(city, "un lampione", sender="anna2")
        move = orjson.dumps({"from": "anna", "moved_to": "anna2"})
        item = Item(external_id="move", sender="anna")
        await city.gateway.inbox.accept("phone", move, [item])
        await city.settle()

        assert "Non ha segnalazioni aperte." == await told(city, "stato", sender="anna")
        for number in (old, new):
            said = await told(city, f"stato {number}", sender="anna")
            assert "Non ci risulta" in said
