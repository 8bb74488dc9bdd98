"""What staff do to cases, while the stream runs."""

from __future__ import annotations

import orjson
import pytest
from small_city import City, small_city
from test_instructions import answered, statuses
from test_standing import OnePerson, number_of, told

from gateway import closing, correcting, duplicates, merging
from gateway.app import city_of
from gateway.errors import CaseError, NotFound
from gateway.store import schema

BY = "staff:test"


async def do(city: City, work, *args: object, **more: object):
    """Let staff do something; wait for what follows."""
    known = city_of(city.gateway.settings, city.gateway.host)
    if work not in {duplicates.link, duplicates.unlink}:
        args = (*args, known)

    def unit(connection):
        return work(connection, *args, by=BY, **more)

    found = await city.gateway.store.run(unit)
    await city.settle()
    return found


def handed(city: City) -> list[tuple[str, str, str]]:
    """Return service, last digit of the number and text of each hand-over."""
    return [
        (h.service, h.case.number[-1], h.message.text) for h in city.outside.handovers
    ]


def reference(city: City, place: int = -1) -> str:
    """Return by what an office refers to a hand-over."""
    return f"<{city.outside.handovers[place].delivery_id}@office>"


async def answer_of(city: City, reference: str, text: str, office: str = "urp") -> str:
    """Let an office answer; return what citizens are told, and whom."""
    before = len(city.outside.notices)
    await city.say(sender=f"{office}@office", text=text, references=[reference])
    await city.settle()
    got = city.outside.notices[before:]
    return "\n".join(f"{n.to.value}: {n.text}" for n in got)


async def test_moved_case(tmp_path, url):
    """The other service gets it whole, the citizen is told, the router can learn."""
    async with small_city(tmp_path, url=url) as city:
        number = await number_of(city, "una buca")
        await do(city, correcting.move, number, "strade", reason="è una buca")

        assert [("urp", "1", "una buca"), ("strade", "1", "una buca")] == handed(city)
        assert "Strade" in city.outside.notices[-1].text
        assert [("strade", "assigned")] == await statuses(city)
        (event,) = [
            e for e in await city.rows(schema.event) if e.action == "case.reassigned"
        ]
        data = orjson.loads(event.data)
        assert (BY, "urp", "strade") == (event.actor, data["from"], data["to"])
        assert "è una buca" == data["reason"]


async def test_what_has_not_left_never_goes_to_the_wrong_service(tmp_path, url):
    """A report that waits for its photo is moved before the first office has it."""
    async with small_city(tmp_path, url=url) as city:
        city.outside.files = {"f": []}
        await city.say(text="una buca", files=["f"])
        await city.until(lambda: city.outside.notices)
        (case,) = await city.rows(schema.cases)
        known = city_of(city.gateway.settings, city.gateway.host)
        await city.gateway.store.run(
            lambda c: correcting.move(c, case.number, "strade", known, by=BY)
        )
        city.outside.files = {"f": [b"photo"]}
        await city.until(lambda: city.outside.handovers)

        assert {"strade"} == {h.service for h in city.outside.handovers}


@pytest.mark.parametrize(
    ("service", "text"),
    [("urp", "with urp already"), ("mare", "no service mare; there are: strade, urp")],
)
async def test_move_that_makes_no_sense(tmp_path, service, text):
    """The error says what there is."""
    async with small_city(tmp_path) as city:
        number = await number_of(city, "una buca")

        with pytest.raises(CaseError, match=text):
            await do(city, correcting.move, number, service)
        with pytest.raises(NotFound, match="no case URP-1"):
            await do(city, correcting.move, "URP-1", "strade")


async def test_closed_and_opened_again(tmp_path, url):
    """The citizen is told of both; neither is done twice."""
    async with small_city(tmp_path, url=url) as city:
        number = await number_of(city, "una buca")
        await do(city, closing.close, number)
        assert "chiusa" in city.outside.notices[-1].text
        with pytest.raises(CaseError, match="is closed: only"):
            await do(city, closing.close, number)
        with pytest.raises(CaseError, match="closed: only"):
            await do(city, correcting.move, number, "strade")
        await do(city, closing.reopen, number)
        assert "di nuovo aperta" in city.outside.notices[-1].text
        with pytest.raises(CaseError, match="is reopened: only what is closed"):
            await do(city, closing.reopen, number)

        assert [("urp", "reopened")] == await statuses(city)


async def two(city: City) -> tuple[str, str]:
    """Let Anna tell of two things; return their numbers."""
    return (
        await number_of(city, "una buca"),
        await number_of(city, "nuova\nancora quella buca"),
    )


async def test_merged_case_goes_on_in_the_other(tmp_path, url):
    """Threads and the old number lead there; the citizen is told and asked no more."""
    async with small_city(tmp_path, url=url) as city:
        old, new = await two(city)
        first = reference(city, 0)
        await do(city, merging.merge, old, new)
        assert f"La sua segnalazione {old} prosegue nella {new}." in (
            city.outside.notices[-1].text
        )
        by_thread = await answer_of(city, first, "Fatto.")
        await told(city, "grazie", references=["m1"])
        await told(city, f"{old} non è finita")
        standing = await told(city, f"stato {old}")

        assert new in by_thread
        assert old not in by_thread
        assert ["1", "2", "2", "2"] == [n for _, n, _ in handed(city)]
        assert standing.startswith(new)
        assert [("urp", "closed"), ("urp", "assigned")] == await statuses(city)
        (gone, into) = sorted(await city.rows(schema.cases), key=lambda c: c.number)
        assert into.id == gone.merged_into
        assert {into.id} == {m.case_id for m in await city.rows(schema.message)} - {
            None
        }


async def test_office_that_had_neither_gets_both(tmp_path, url):
    """Merged into a case with another service, all is handed to that one."""
    async with small_city(tmp_path, url=url) as city:
        old, new = await two(city)
        await do(city, correcting.move, new, "strade")
        city.outside.handovers.clear()
        await do(city, merging.merge, old, new)

        assert [("strade", "2", "una buca")] == handed(city)
        assert city.outside.handovers[0].addition


async def test_cases_of_two_citizens_are_never_merged(tmp_path, url):
    """One would read what an office answers to the other."""
    async with small_city(tmp_path, url=url) as city:
        hers = await number_of(city, "una buca")
        theirs = await number_of(city, "una buca", sender="bea")

        with pytest.raises(CaseError, match="of two citizens"):
            await do(city, merging.merge, hers, theirs)
        assert ["urp", "urp"] == [service for service, _ in await statuses(city)]


async def test_cases_of_one_citizen_on_two_channels(tmp_path, url):
    """They may be merged; answers go where the other case was told."""
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        old = await number_of(city, "una buca", sender="anna")
        new = await number_of(city, "la buca", channel="letter", sender="anna@x")
        await do(city, merging.merge, old, new)

        assert (await answer_of(city, reference(city, 0), "Fatto.")).startswith(
            "anna@x: "
        )


@pytest.mark.parametrize("which", ["itself", "closed", "twice"])
async def test_merge_that_makes_no_sense(tmp_path, which):
    """Not into itself, not into what is closed, not what is merged already."""
    async with small_city(tmp_path) as city:
        old, new = await two(city)
        if which == "closed":
            await do(city, closing.close, new)
        if which == "twice":
            await do(city, merging.merge, old, new)
        into = old if which == "itself" else new

        with pytest.raises(CaseError, match=r"itself|reopen it first|merged into"):
            await do(city, merging.merge, old, into)


async def test_split_case(tmp_path, url):
    """The service gets the messages as a new case, and may answer each."""
    async with small_city(tmp_path, url=url) as city:
        old = await number_of(city, "una buca")
        await city.say(text="e un lampione")
        await city.settle()
        lamp = reference(city)
        (_, second) = sorted(
            m.id for m in await city.rows(schema.message) if m.author == "citizen"
        )
        new = await do(city, merging.split, old, [second])

        expected = [("urp", "1", "una buca"), ("urp", "1", "e un lampione")]
        assert [*expected, ("urp", "2", "e un lampione")] == handed(city)
        assert not city.outside.handovers[-1].addition
        assert new in city.outside.notices[-1].text
        assert new in await answer_of(city, lamp, "Acceso.")
        assert old in await answer_of(city, reference(city, 0), "Riparata.")


async def test_part_that_was_moved_is_merged_again(tmp_path, url):
    """Split off, given to another office, and back before that one has got it."""
    async with small_city(tmp_path, url=url) as city:
        old = await number_of(city, "una buca")
        await city.say(text="e un lampione")
        await city.settle()
        (_, second) = sorted(
            m.id for m in await city.rows(schema.message) if m.author == "citizen"
        )
        new = await do(city, merging.split, old, [second])

        def there_and_back(connection, known, *, by):
            correcting.move(connection, new, "strade", known, by=by)
            return merging.merge(connection, new, old, known, by=by)

        await do(city, there_and_back)

        assert {"urp"} == {service for service, _, _ in handed(city)}
        assert ("urp", "1", "e un lampione") == handed(city)[-1]


async def test_split_that_makes_no_sense(tmp_path):
    """Only some of what the citizen said in that case can be split off."""
    async with small_city(tmp_path) as city:
        number = await number_of(city, "una buca")
        theirs = await number_of(city, "altro", sender="bea")
        mine, other = sorted(
            m.id for m in await city.rows(schema.message) if m.author == "citizen"
        )
        for ids, text in (
            ([mine], "would leave nothing"),
            ([other], "nothing that the citizen said"),
            ([], "name the messages"),
        ):
            with pytest.raises(CaseError, match=text):
                await do(city, merging.split, number, ids)
        await do(city, closing.close, theirs)
        with pytest.raises(CaseError, match="reopen it first"):
            await do(city, merging.split, theirs, [other])


async def linked(city: City) -> tuple[str, str]:
    """Let Bea tell of Anna's hole; return Anna's number and Bea's."""
    hers = await number_of(city, "una buca")
    theirs = await number_of(city, "una buca", channel="letter", sender="bea")
    await do(city, duplicates.link, theirs, hers)
    return hers, theirs


async def test_all_are_told_when_the_main_case_is_closed(tmp_path, url):
    """Each on their channel, with their number, and nothing of the other's."""
    async with small_city(tmp_path, url=url) as city:
        hers, theirs = await linked(city)
        city.outside.notices.clear()
        await answered(city, reference(city, 0), "Chiuso.\n\nCara Anna, riparata.")

        by_name = {"anna": "", "bea": ""}
        for notice in city.outside.notices:
            by_name[notice.to.value] += notice.text
        assert f"La segnalazione {theirs} è chiusa." == by_name["bea"]
        assert hers in by_name["anna"]
        assert "Cara Anna" in by_name["anna"]
        assert [("urp", "closed"), ("urp", "closed")] == await statuses(city)


async def test_a_duplicate_is_closed_alone(tmp_path):
    """The main case and its citizen hear nothing of it; nor after the link is taken."""
    async with small_city(tmp_path) as city:
        hers, theirs = await linked(city)
        await do(city, duplicates.unlink, theirs)
        await do(city, duplicates.link, theirs, hers)
        city.outside.notices.clear()
        await do(city, closing.close, theirs)

        assert ["bea"] == [n.to.value for n in city.outside.notices]
        assert ("urp", "assigned") in await statuses(city)


async def test_link_that_makes_no_sense(tmp_path):
    """One citizen's cases are merged, closed ones stay as they are."""
    async with small_city(tmp_path) as city:
        first, second = await two(city)
        hers = await number_of(city, "una buca", sender="bea")
        with pytest.raises(CaseError, match="of one citizen: merge them"):
            await do(city, duplicates.link, first, second)
        with pytest.raises(CaseError, match="linked to no other"):
            await do(city, duplicates.unlink, first)
        await do(city, duplicates.link, hers, first)
        with pytest.raises(CaseError, match="the main case of these already"):
            await do(city, duplicates.link, first, hers)
        await do(city, closing.close, second)
        with pytest.raises(CaseError, match="reopen it first"):
            await do(city, duplicates.link, hers, second)


async def test_same_thing_in_other_words_is_suggested(tmp_path, url):
    """Of other citizens, the likeliest first; nothing that is unlike."""
    async with small_city(tmp_path, url=url) as city:
        mine = await number_of(city, "C'è una grossa buca in via Roma 12")
        likely = await number_of(city, "buca grossa, via Roma al 12!", sender="bea")
        await number_of(city, "non passa più l'autobus", sender="carlo")
        await number_of(city, "nuova\nuna grossa buca in via Roma 12")
        found = await city.gateway.store.run(lambda c: duplicates.suggest(c, mine))

        assert [likely] == [each.number for each in found]
