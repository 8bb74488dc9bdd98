"""What an office wants done with its case, on the whole way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from small_city import City, Outside, small_city
from sqlalchemy import Connection, update

from gateway.store import schema

STRADE, URP = "strade@office", "urp@office"
ASSIGNED = ["case.opened", "case.assigned"]


async def reported(city: City, text: str = "una buca") -> str:
    """Let Anna report something to the URP; return the delivery's id."""
    await city.say(text=text)
    await city.settle()
    return f"<{city.outside.handovers[-1].delivery_id}@office>"


async def answered(city: City, reference: str, text: str, **said: object) -> None:
    """Let the URP answer."""
    await city.say(sender=URP, text=text, references=[reference], **said)
    await city.settle()


def a_day_passes(connection: Connection) -> None:
    """Let the cases grow too old to be joined by themselves."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    connection.execute(update(schema.cases).values(last_message_at=yesterday))


async def statuses(city: City) -> list[tuple[str, str]]:
    """Return service and status of each case."""
    rows = await city.rows(schema.cases)
    return [(row.service, row.status) for row in sorted(rows, key=lambda r: r.number)]


async def actions(city: City) -> list[str]:
    """Return what is on the record about cases."""
    rows = await city.rows(schema.event)
    return [r.action for r in rows if r.action.startswith("case.")]


async def test_closed_case_is_told_with_the_answer(tmp_path, url):
    """The citizen reads the answer and that it is closed; the next message is new."""
    async with small_city(tmp_path, url=url) as city:
        reference = await reported(city)
        await answered(city, reference, "Chiuso.\n\nRiparata stamattina.")

        told = "".join(n.text for n in city.outside.notices[1:])
        number = city.outside.handovers[0].case.number
        assert "Riparata stamattina." in told
        assert told.endswith(f"La segnalazione {number} è chiusa.")
        assert "Chiuso." not in told
        assert [("urp", "closed")] == await statuses(city)
        assert [*ASSIGNED, "case.closed"] == await actions(city)

        await city.say(text="un'altra cosa")
        await city.settle()
        assert [("urp", "closed"), ("urp", "assigned")] == await statuses(city)


async def test_closing_without_a_word_is_told_once(tmp_path):
    """Only that it is closed; a second time nothing is said."""
    async with small_city(tmp_path) as city:
        reference = await reported(city)
        await answered(city, reference, "chiuso")
        await answered(city, reference, "chiuso")

        number = city.outside.handovers[0].case.number
        texts = [n.text for n in city.outside.notices if n.purpose == "answer"]
        assert [f"La segnalazione {number} è chiusa."] == texts
        assert [*ASSIGNED, "case.closed"] == await actions(city)


async def test_forwarded_case_goes_to_the_other_office_whole(tmp_path, url):
    """It gets all that was said, and the note; the citizen hears where it is."""
    outside = Outside(files={"foto": [b"una foto"]})
    async with small_city(tmp_path, url=url, outside=outside) as city:
        reference = await reported(city)
        await city.say(text="eccola", files=["foto"])
        await city.settle()
        await answered(city, reference, "inoltrato a Strade\nÈ vostra, mi pare.")

        got = [h for h in city.outside.handovers if h.service == "strade"]
        said = [h.message.text for h in got]
        assert ["una buca", "eccola"] == said[:2]
        assert "È vostra, mi pare." in said[2]
        assert [0, 1, 0] == [len(h.enclosures) for h in got]
        assert [False, True, True] == [h.addition for h in got]
        told = city.outside.notices[-1]
        assert ("answer", "anna") == (told.purpose, told.to.value)
        assert "Strade" in told.text
        assert "vostra" not in told.text
        assert [("strade", "assigned")] == await statuses(city)
        assert [*ASSIGNED, "case.reassigned", "case.assigned"] == await actions(city)

        await city.say(text="ancora io")
        await city.settle()
        assert "strade" == city.outside.handovers[-1].service


async def test_case_may_come_back(tmp_path):
    """Forwarded there and back again: each time the office gets it whole."""
    async with small_city(tmp_path) as city:
        await answered(city, await reported(city), "inoltrato a strade")
        (first,) = [h for h in city.outside.handovers if h.service == "strade"]
        await city.say(
            sender=STRADE,
            text="inoltrato a URP",
            references=[f"<{first.delivery_id}@office>"],
        )
        await city.settle()

        assert ["urp", "strade", "urp"] == [h.service for h in city.outside.handovers]
        assert [("urp", "assigned")] == await statuses(city)


async def test_unknown_office_is_held_and_released_as_an_answer(tmp_path):
    """Nobody is told before staff have read it; then it is what it says."""
    async with small_city(tmp_path) as city:
        reference = await reported(city)
        await answered(city, reference, "inoltrato a chi di competenza")

        assert ["notice"] == [n.purpose for n in city.outside.notices]
        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        assert "none of the configured services" in held.reason

        await city.gateway.store.run(
            lambda c: city.gateway.recorder.release(c, held.id, "staff:test")
        )
        await city.settle()
        assert "inoltrato a chi di competenza" in city.outside.notices[-1].text


@pytest.mark.parametrize("text", ["chiuso", "Riparata.", "inoltrato a urp"])
async def test_who_has_given_the_case_away_is_held(tmp_path, text):
    """Nothing of the former office reaches citizen or case without staff."""
    async with small_city(tmp_path) as city:
        reference = await reported(city)
        await answered(city, reference, "inoltrato a strade")
        told = len(city.outside.notices)
        await answered(city, reference, text)

        assert told == len(city.outside.notices)
        assert [("strade", "assigned")] == await statuses(city)
        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        assert "the case has gone to another office since" == held.reason


async def test_forwarding_to_itself_is_held(tmp_path):
    """Its note is lost to nobody."""
    async with small_city(tmp_path) as city:
        await answered(city, await reported(city), "inoltrato a URP\nGuardate qui.")

        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        assert "the case is with that office already" == held.reason


@pytest.mark.parametrize("sender", [STRADE, "anna", "urp@elsewhere"])
async def test_only_the_service_gives_instructions(tmp_path, sender):
    """Another office, the citizen or a stranger closes nothing."""
    async with small_city(tmp_path) as city:
        reference = await reported(city)
        await city.say(sender=sender, text="chiuso", references=[reference])
        await city.settle()

        assert [("urp", "assigned")] == await statuses(city)
        assert ["notice"] == [n.purpose for n in city.outside.notices]


async def test_proven_service_answers_by_number(tmp_path, url):
    """A new message with the number in its subject, from an office that is proven."""
    async with small_city(tmp_path, url=url) as city:
        await reported(city)
        number = city.outside.handovers[0].case.number
        subject = f"Ancora su {number.lower()}: buca"
        text = f"{subject}\n\nchiuso\n\nFatto."
        await city.say(sender=URP, text=text, subject=subject, authentic=True)
        await city.settle()

        told = "".join(n.text for n in city.outside.notices[1:])
        assert "Fatto." in told
        assert "buca" not in told
        assert [("urp", "closed")] == await statuses(city)


@pytest.mark.parametrize("authentic", [{}, {"authentic": False}])
async def test_number_alone_proves_nothing(tmp_path, authentic):
    """Numbers can be guessed: without proof of the sender it is held."""
    async with small_city(tmp_path) as city:
        await reported(city)
        number = city.outside.handovers[0].case.number
        await city.say(sender=URP, text="Fatto.", subject=number, **authentic)
        await city.settle()

        assert ["notice"] == [n.purpose for n in city.outside.notices]
        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        assert "prove" in held.reason


async def test_answer_of_a_forged_sender_is_held(tmp_path):
    """Also one that knows our delivery's id."""
    async with small_city(tmp_path) as city:
        reference = await reported(city)
        await answered(city, reference, "Fatto.", authentic=False)

        assert ["notice"] == [n.purpose for n in city.outside.notices]


async def test_citizen_joins_the_case_that_the_subject_names(tmp_path, url):
    """An older case, if it is theirs; a stranger's goes to a case of its own."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="prima")
        await city.settle()
        await city.gateway.store.run(a_day_passes)
        await city.say(text="seconda")
        await city.settle()
        first = city.outside.handovers[0].case.number
        await city.say(text="ancora sulla prima", subject=f"R: [{first}] prima")
        await city.settle()
        assert first == city.outside.handovers[-1].case.number

        await city.say(sender="bea", text="anch'io", subject=first)
        await city.settle()
        assert first != city.outside.handovers[-1].case.number

        await city.gateway.store.run(a_day_passes)
        await city.say(text="non io", subject=first, authentic=False)
        await city.settle()
        assert first != city.outside.handovers[-1].case.number
