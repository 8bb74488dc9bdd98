"""Asking the citizen what it is about, and what becomes of the case."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from small_city import small_city

from gateway.model import Assignment, Menu, Message, Option, Question, ServiceId
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema

MENU = Menu(options=(Option(id="s", title="Strade"), Option(id="u", title="Altro")))


@dataclass
class Asking(Plugin[NoConfig]):
    """Asks about everything but what was chosen, and holes."""

    wait: timedelta = field(default=timedelta(minutes=30))

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        services = {"s": ServiceId("strade"), "u": ServiceId("urp")}
        if message.choice in services:
            service = services[message.choice]
            return Assignment(service=service, reason="r", source="menu", chosen=True)
        if "buca" in message.text:
            return Assignment(service=services["s"], reason="buca", source="words")
        question = Question(text="Di che si tratta?", menu=MENU, wait=self.wait)
        return Assignment(
            service=services["u"], reason="?", source="menu", question=question
        )


def handed(city) -> list[tuple]:
    """Return service and text of each hand-over."""
    return [(h.service, h.message.text) for h in city.outside.handovers]


async def asked(city, **said) -> str:
    """Let somebody write on the channel with menus; return our id of the question."""
    await city.say(channel="album", **said)
    await city.settle(waiting=1)
    return f"sent-{city.outside.notices[-1].delivery_id}"


async def statuses(city) -> list[str]:
    """Return where the cases stand."""
    return [row.status for row in await city.rows(schema.cases)]


async def settled_by(city) -> list[str]:
    """Return who said whose a case is, as the trail has it."""
    events = await city.rows(schema.event)
    return [each.actor for each in events if each.action == "case.settled"]


async def test_citizen_chooses(tmp_path, url):
    """The office that was chosen gets the message; the choice itself is not handed."""
    async with small_city(tmp_path, Asking(), url=url) as city:
        question = await asked(city, text="c'è un problema")
        (notice,) = city.outside.notices
        before = await statuses(city)
        await city.say(
            channel="album", text="Strade", choice="s", references=[question]
        )
        await city.settle()

        assert MENU == notice.menu
        assert "Di che si tratta?" in notice.text
        assert ["waiting"] == before
        assert [("strade", "c'è un problema")] == handed(city)
        assert ["assigned"] == await statuses(city)
        assert "Strade" in city.outside.notices[-1].text
        (case,) = await city.rows(schema.cases)
        assert "strade" == case.service
        assert ["citizen"] == await settled_by(city)
        because = [row.reason for row in await city.rows(schema.assignment)]
        assert ["?", "r"] == because


async def test_nobody_chooses(tmp_path, url):
    """In time the default office gets it, and what is chosen later is said to it."""
    wait = timedelta(seconds=0.3)
    async with small_city(tmp_path, Asking(wait), url=url) as city:
        question = await asked(city, text="c'è un problema")
        await city.settle()
        after = await statuses(city)
        await city.say(
            channel="album", text="Strade", choice="s", references=[question]
        )
        await city.settle()

        assert ["assigned"] == after
        assert ["gateway"] == await settled_by(city)
        assert [("urp", "c'è un problema"), ("urp", "Strade")] == handed(city)


async def test_files_do_not_end_the_wait(tmp_path, url):
    """A photo that arrives lets nothing go before the citizen chose."""
    async with small_city(tmp_path, Asking(), url=url) as city:
        city.outside.files = {"a": [b"photo"]}
        await asked(city, files=["a"])
        handed_early = handed(city)
        await city.say(channel="album", text="Strade", choice="s")
        await city.settle()

        assert [] == handed_early
        assert [("strade", "")] == handed(city)
        assert 1 == len(city.outside.handovers[0].enclosures)


async def test_more_words_settle_it(tmp_path):
    """Who writes what it is about, instead of choosing, has answered too."""
    async with small_city(tmp_path, Asking()) as city:
        await asked(city, text="buongiorno")
        await city.say(channel="album", text="c'è una buca")
        await city.settle()

        assert [("strade", "buongiorno"), ("strade", "c'è una buca")] == sorted(
            handed(city)
        )
        assert 1 == len(await city.rows(schema.cases))


async def test_more_of_the_same_waits_too(tmp_path):
    """What follows without saying more waits with the first; nobody is asked twice."""
    async with small_city(tmp_path, Asking()) as city:
        await asked(city, text="buongiorno")
        await city.say(channel="album", text="ci siete?")
        await city.settle(waiting=2)
        handed_early = handed(city)
        await city.say(channel="album", text="Strade", choice="s")
        await city.settle()

        assert [] == handed_early
        assert ["buongiorno", "ci siete?"] == sorted(text for _, text in handed(city))
        assert 2 == len(city.outside.notices)


async def test_chosen_twice(tmp_path):
    """The second tap is words for the office that has it by then."""
    async with small_city(tmp_path, Asking()) as city:
        question = await asked(city, text="buongiorno")
        for choice, text in (("s", "Strade"), ("u", "Altro")):
            await city.say(
                channel="album", text=text, choice=choice, references=[question]
            )
            await city.settle()

        assert [("strade", "buongiorno"), ("strade", "Altro")] == handed(city)


async def test_channel_without_menus_asks_nothing(tmp_path):
    """There the default office gets it at once."""
    async with small_city(tmp_path, Asking()) as city:
        await city.say(channel="phone", text="buongiorno")
        await city.settle()

        assert [("urp", "buongiorno")] == handed(city)
        assert city.outside.notices[0].menu is None


async def test_office_that_says_nothing_asks_nothing(tmp_path):
    """Where citizens get no notices they are not asked either."""
    silent = "acknowledge = false"
    async with small_city(tmp_path, Asking(), gateway=silent) as city:
        await city.say(channel="album", text="buongiorno")
        await city.settle()

        assert [("urp", "buongiorno")] == handed(city)


async def test_choice_of_somebody_else_settles_nothing(tmp_path):
    """Whoever answers to a question that another citizen got answers for themselves."""
    async with small_city(tmp_path, Asking()) as city:
        question = await asked(city, text="buongiorno")
        await city.say(
            channel="album",
            sender="bea",
            text="Strade",
            choice="s",
            references=[question],
        )
        await city.settle(waiting=1)

        assert ["waiting", "assigned"] == await statuses(city)
        assert [("strade", "Strade")] == handed(city)


async def test_answer_to_an_older_case_joins_it(tmp_path, url):
    """Who quotes a message means its case, whatever is open or how long ago it was."""
    async with small_city(tmp_path, url=url) as city:
        for text in ("una buca", "un lampione"):
            await city.say(text=text)
            await city.settle()
            ago = schema.cases.update().values(
                last_message_at=datetime(2026, 1, 1, tzinfo=UTC)
            )
            await city.gateway.store.run(lambda c, ago=ago: c.execute(ago))
        await city.say(text="è più grande", references=["m1"])
        await city.settle()

        numbers = [h.case.number[-1] for h in city.outside.handovers]
        assert ["1", "2", "1"] == numbers


async def test_answer_to_a_closed_case_opens_another(tmp_path):
    """A closed case stays closed."""
    async with small_city(tmp_path) as city:
        await city.say(text="una buca")
        await city.settle()
        closed = schema.cases.update().values(status="closed")
        await city.gateway.store.run(lambda c: c.execute(closed))
        await city.say(text="c'è ancora", references=["m1"])
        await city.settle()

        assert ["1", "2"] == [h.case.number[-1] for h in city.outside.handovers]
