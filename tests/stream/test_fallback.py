"""A service's next connector gets what the one before could not deliver."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_city import City, Outside, small_city

from gateway import failpoints
from gateway.app import Parts
from gateway.errors import AttachmentError, DeliveryError, StoreUnavailable
from gateway.model import (
    Assignment,
    Expectation,
    Menu,
    Option,
    Question,
    Receipt,
    ReceiptStatus,
    ServiceId,
)
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema

NEVER = DeliveryError("refused", "no", retryable=False)
DOWN = DeliveryError("down", "no", retryable=True)
LOST = DeliveryError("lost", "reply", retryable=True, unknown=True)


def both(main: str = "office", minutes: float = 60) -> str:
    """Configure an office with a main connector and a spare one."""
    connectors = f'[{{ type = "{main}" }}, {{ type = "spare" }}]'
    return f"connectors = {connectors}\nfallback_after_minutes = {minutes}"


class Asks(Plugin[NoConfig]):
    """Asks the citizen what it is about, and waits for the answer."""

    def __init__(self, wait: timedelta) -> None:
        """Wait for so long."""
        self._wait = wait

    @hookimpl
    async def route_message(self) -> Assignment | None:
        """Leave it to the default service, and ask."""
        menu = Menu(options=(Option(id="u", title="URP"),))
        return Assignment(
            service=ServiceId("urp"),
            reason="?",
            source="menu",
            question=Question(text="Di che si tratta?", menu=menu, wait=self._wait),
        )


AT_ONCE = 0.002
"""A tenth of a second, in minutes."""


async def passed_on(city: City) -> list[tuple[str, bool]]:
    """Return what is on the record about what was passed on: code, maybe twice."""
    rows = await city.rows(schema.event)
    found = [r.data for r in rows if r.action == "delivery.passed_on"]
    datas = [json.loads(each) for each in found]
    return [(each["code"], each["maybe_twice"]) for each in datas]


async def dead(city: City) -> list[str]:
    """Return the codes of the dead letters."""
    return [row.code for row in await city.rows(schema.dead_letter)]


async def test_what_the_main_connector_refuses_goes_to_the_next(tmp_path, url):
    """Refused for good: the spare one has it, once, and nobody gets a dead letter."""
    outside = Outside(office_faults=[NEVER])
    async with small_city(tmp_path, url=url, outside=outside, urp=both()) as city:
        await city.say(text="una buca")
        await city.settle()
        await city.say(text="e un lampione")
        await city.settle()

        assert ["una buca"] == [h.message.text for h in outside.spares]
        assert [False] == [h.maybe_sent for h in outside.spares]
        assert ["e un lampione"] == [h.message.text for h in outside.handovers]
        assert [("refused", False)] == await passed_on(city)
        assert [] == await dead(city)
        states = {d.target: d.state for d in await city.rows(schema.delivery)}
        assert "sent" == states["service:urp/1"]


async def test_what_stays_broken_goes_to_the_next_in_time(tmp_path, url):
    """After the configured time, though another attempt might have helped."""
    outside = Outside(office_faults=[DOWN] * 99)
    urp = both(minutes=AT_ONCE)
    async with small_city(tmp_path, url=url, outside=outside, urp=urp) as city:
        await city.say(text="una buca")
        await city.until(lambda: bool(outside.spares))
        await city.settle()

        assert [("down", False)] == await passed_on(city)
        assert [] == outside.handovers


async def test_what_waits_for_a_target_that_is_left_alone_goes_on(tmp_path, url):
    """Many wait while the breaker is open: all are passed on, without an attempt."""
    outside = Outside(office_faults=[DOWN] * 99)
    urp = both(minutes=AT_ONCE * 3)
    keys = "breaker_failures = 1\nbreaker_seconds = 600"
    async with small_city(
        tmp_path, url=url, outside=outside, urp=urp, outbox=keys
    ) as city:
        for number in range(20):
            await city.say(sender=f"anna{number}", text=f"buca {number}")
        await city.until(lambda: len(outside.spares) == 20)
        await city.settle()

        codes = {code for code, _ in await passed_on(city)}
        assert {"target_down"} <= codes <= {"target_down", "down"}
        assert 20 == len({h.message.text for h in outside.spares})
        assert len(outside.office_faults) > 85


async def test_target_that_is_back_in_time_keeps_what_waited(tmp_path):
    """What waited behind an open breaker goes the main way as soon as that is open."""
    outside = Outside(office_faults=[DOWN])
    keys = "breaker_failures = 1\nbreaker_seconds = 0.2"
    async with small_city(tmp_path, outside=outside, urp=both(), outbox=keys) as city:
        for number in range(5):
            await city.say(sender=f"anna{number}", text=f"buca {number}")
        await city.until(lambda: len(outside.handovers) == 5)
        await city.settle()

        assert [] == outside.spares


class Patient(random.Random):
    """Chance that always makes the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


async def test_what_waits_for_a_target_that_is_down_is_looked_at_ever_less(tmp_path):
    """Pauses grow as those of other retries do, however short the breaker's are."""
    keys = "breaker_failures = 1\nbreaker_seconds = 0.01"
    async with small_city(
        tmp_path,
        urp=both(),
        outbox=keys,
        backoff=(0.1, 60),
        parts=Parts(chance=Patient()),
    ) as city:
        city.gateway.breakers["service:urp"].allows = lambda: False
        await city.say(text="una buca")
        await asyncio.sleep(2)
        (job,) = await city.rows(schema.job)

        # After 0.2, 0.6, 1.4 and 3 seconds.
        assert 2 <= job.attempts <= 4


async def test_target_that_is_back_gets_at_once_what_waited(tmp_path, url):
    """However long their pauses are by then; what had been tried waits on."""
    outside = Outside(office_faults=[DOWN])
    keys = "breaker_failures = 1\nbreaker_seconds = 0.3"
    async with small_city(
        tmp_path,
        url=url,
        outside=outside,
        urp=both(),
        outbox=keys,
        backoff=(600, 600),
        parts=Parts(chance=Patient()),
    ) as city:
        await city.say(sender="anna0", text="buca 0")
        await city.until(lambda: not outside.office_faults)
        for number in range(1, 4):
            await city.say(sender=f"anna{number}", text=f"buca {number}")
        await asyncio.sleep(0.5)
        await city.say(sender="bruno", text="un palo")
        await city.until(lambda: len(outside.handovers) == 4)
        await city.settle(waiting=1)

        texts = {h.message.text for h in outside.handovers}
        assert {"buca 1", "buca 2", "buca 3", "un palo"} == texts
        assert [] == outside.spares


async def test_waiting_for_a_choice_is_not_waiting_for_the_target(tmp_path, url):
    """The time for the fallback begins when the delivery could first go out."""
    wait = timedelta(seconds=3.2)
    outside = Outside(office_faults=[DOWN])
    urp = both(minutes=3 / 60)
    async with small_city(
        tmp_path, Asks(wait), url=url, outside=outside, urp=urp
    ) as city:
        await city.say(channel="album", text="c'è un problema")
        await city.until(lambda: bool(outside.handovers or outside.spares))
        await city.settle()

        assert [] == outside.spares
        assert ["c'è un problema"] == [h.message.text for h in outside.handovers]


@pytest.mark.parametrize(
    ("main", "known", "expected"),
    [
        ("blind", [], ("lost", True)),
        ("keyed", [], ("lost", True)),
        ("asked", [None, None, None] * 30, ("lost", True)),
        ("asked", [DOWN] * 90, ("down", True)),
    ],
)
async def test_what_may_have_arrived_is_said_to_be_perhaps_double(
    main, known, expected, tmp_path
):
    """Nobody knows whether the main one has it: the record says so, and the spare."""
    outside = Outside(office_faults=[LOST] * 99, known=known)
    urp = both(main, minutes=AT_ONCE)
    async with small_city(tmp_path, outside=outside, urp=urp) as city:
        await city.say(text="una buca")
        await city.until(lambda: bool(outside.spares))
        await city.settle()

        assert [expected] == await passed_on(city)
        assert [True] == [h.maybe_sent for h in outside.spares]


async def test_refusal_after_a_lost_reply_leaves_the_doubt(tmp_path):
    """Lost first, refused then: the first attempt may have arrived all the same."""
    outside = Outside(office_faults=[LOST, NEVER], spare_faults=[DOWN])
    async with small_city(tmp_path, outside=outside, urp=both("blind")) as city:
        await city.say(text="una buca")
        await city.until(lambda: bool(outside.spares))
        await city.settle()

        assert [("refused", True)] == await passed_on(city)


async def test_who_was_asked_and_has_nothing_leaves_no_doubt(tmp_path):
    """Lost, then known not to be there, then refused: the spare's is the only one."""
    outside = Outside(office_faults=[LOST, NEVER], known=[None])
    async with small_city(tmp_path, outside=outside, urp=both("asked")) as city:
        await city.say(text="una buca")
        await city.until(lambda: bool(outside.spares))
        await city.settle()

        assert [("refused", False)] == await passed_on(city)
        assert [False] == [h.maybe_sent for h in outside.spares]


async def test_who_was_asked_and_has_it_keeps_it(tmp_path):
    """The reply was lost, the delivery was not: nothing is passed on."""
    receipt = Receipt(
        status=ReceiptStatus.SENT, at=datetime.now(UTC), external_id="asked-1"
    )
    outside = Outside(office_faults=[LOST], known=[receipt])
    async with small_city(tmp_path, outside=outside, urp=both("asked")) as city:
        await city.say(text="una buca")
        await city.settle()

        assert [] == outside.spares
        assert [] == await passed_on(city)


async def test_dead_letter_only_after_the_last(tmp_path, url):
    """Both refuse: now staff see it, once."""
    outside = Outside(office_faults=[NEVER], spare_faults=[NEVER])
    async with small_city(tmp_path, url=url, outside=outside, urp=both()) as city:
        await city.say(text="una buca")
        await city.settle()

        assert ["refused"] == await dead(city)
        (letter,) = await city.rows(schema.dead_letter)
        assert "deliver:service:urp/1" == letter.queue


async def test_failure_reported_later_goes_to_the_next(tmp_path, url):
    """Taken first, then reported as failed (a bounce): the spare one gets it."""
    async with small_city(tmp_path, url=url, urp=both()) as city:
        await city.say(text="una buca")
        await city.settle()
        sent = f"<{city.outside.handovers[0].delivery_id}@office>"
        await city.report("failed", sent, code="5.1.1")
        await city.report("failed", sent, code="5.1.1")
        await city.settle()

        assert ["una buca"] == [h.message.text for h in city.outside.spares]
        assert [("5.1.1", False)] == await passed_on(city)
        assert [] == await dead(city)


async def test_word_that_never_comes_lets_the_next_have_it(tmp_path, url):
    """The other side promised a receipt and gave none: the spare one, in doubt."""
    outside = Outside(office_expects=Expectation(within=timedelta(milliseconds=50)))
    async with small_city(tmp_path, url=url, outside=outside, urp=both()) as city:
        await city.say(text="una buca")
        await city.until(lambda: bool(outside.spares))
        await city.settle()

        assert [("no_receipt", True)] == await passed_on(city)
        assert [True] == [h.maybe_sent for h in outside.spares]
        assert [] == await dead(city)


async def recorded(city: City, action: str) -> list[dict]:
    """Return what is on the record of an action."""
    rows = await city.rows(schema.event)
    return [json.loads(each.data) for each in rows if each.action == action]


async def arrives_late(city: City) -> None:
    """Let the provider say that the main connector's delivery has arrived after all."""
    (first,) = [
        row
        for row in await city.rows(schema.delivery)
        if row.target == "service:urp" and row.purpose == "handover"
    ]
    await city.report("delivered", "", ours=first.id)


async def states_of(city: City) -> dict[str, tuple[str, str]]:
    """Return state and code of what went to the office, by target."""
    rows = await city.rows(schema.delivery)
    return {
        row.target: (row.state, row.code)
        for row in rows
        if row.target.startswith("service:")
    }


async def test_what_arrives_late_recalls_what_the_next_has_not_sent(tmp_path, url):
    """Word comes after all, while the spare can't be reached: it never gets it."""
    soon = Expectation(within=timedelta(milliseconds=50))
    outside = Outside(office_expects=soon, spare_faults=[DOWN] * 99)
    async with small_city(
        tmp_path, url=url, outside=outside, urp=both(), backoff=(600, 600)
    ) as city:
        await city.say(text="una buca")
        await city.until(lambda: len(outside.spare_faults) < 99)
        await city.settle(waiting=1)
        # The spare was asked and took nothing: its next attempt is what is withdrawn.
        await arrives_late(city)
        await city.settle()

        assert {
            "service:urp": ("delivered", ""),
            "service:urp/1": ("passed_on", "delivered_after_all"),
        } == await states_of(city)
        assert 1 == len(await recorded(city, "delivery.withdrawn"))
        assert [] == outside.spares


async def test_what_arrives_late_closes_the_dead_letter_of_the_next(tmp_path, url):
    """Both failed, staff were told; then the first has it, and nothing is to do."""
    outside = Outside(office_faults=[LOST, NEVER], spare_faults=[NEVER])
    async with small_city(
        tmp_path, url=url, outside=outside, urp=both("blind")
    ) as city:
        await city.say(text="una buca")
        await city.until(lambda: not outside.spare_faults)
        await city.settle()
        await arrives_late(city)
        await city.settle()
        (letter,) = await city.rows(schema.dead_letter)
        (case,) = await city.rows(schema.cases)

        assert "discarded" == letter.resolution
        assert "assigned" == case.status
        assert [] == await recorded(city, "delivery.doubled")


async def test_what_arrives_late_and_was_sent_by_the_next_is_told_as_double(
    tmp_path, url
):
    """Nothing can be recalled: the record says that the office has it twice."""
    outside = Outside(office_expects=Expectation(within=timedelta(milliseconds=50)))
    async with small_city(tmp_path, url=url, outside=outside, urp=both()) as city:
        await city.say(text="una buca")
        await city.until(lambda: bool(outside.spares))
        await city.settle()
        await arrives_late(city)
        await arrives_late(city)
        await city.settle()
        (told,) = await recorded(city, "delivery.doubled")

        assert ("service:urp", "service:urp/1", False) == (
            told["target"],
            told["by"],
            told["perhaps"],
        )
        assert {"delivered", "sent"} == {s for s, _ in (await states_of(city)).values()}


async def test_case_is_with_its_service_once_word_comes_of_a_lost_reply(tmp_path, url):
    """The reply was lost and a receipt resolves it: the case is new no more."""
    outside = Outside(office_faults=[LOST])
    async with small_city(
        tmp_path, url=url, outside=outside, urp=both("blind"), backoff=(600, 600)
    ) as city:
        await city.say(text="una buca")
        await city.until(lambda: not outside.office_faults)
        await city.settle(waiting=1)
        await arrives_late(city)
        await city.settle()
        (case,) = await city.rows(schema.cases)

        assert "assigned" == case.status


@pytest.mark.parametrize("who", ["office", "spare"])
async def test_answer_through_either_reaches_the_citizen(who, tmp_path, url):
    """Whoever of the office answers the spare's delivery, the citizen reads it."""
    outside = Outside(office_faults=[NEVER])
    async with small_city(tmp_path, url=url, outside=outside, urp=both()) as city:
        await city.say(text="una buca")
        await city.settle()
        reference = f"<{outside.spares[0].delivery_id}@spare>"
        await city.say(sender=f"urp@{who}", text="fatto", references=[reference])
        await city.settle()

        assert [True, False] == ["fatto" in n.text for n in outside.notices[::-1]]


async def test_files_that_come_later_follow_the_delivery_that_went(tmp_path):
    """One follow-up, by the way that the report went; the main one gets none."""
    later = AttachmentError("busy", "later", retryable=True, retry_after=0.3)
    outside = Outside(office_faults=[NEVER], files={"a": [later, b"abc"]})
    async with small_city(tmp_path, outside=outside, urp=both(), wait=0) as city:
        await city.say(text="una buca", files=["a"])
        await city.until(lambda: len(outside.spares) == 2)
        await city.settle()

        kinds = [(h.follow_up, len(h.enclosures)) for h in outside.spares]
        assert [(False, 0), (True, 1)] == kinds
        assert [] == outside.handovers


@pytest.mark.parametrize("point", ["store.before_commit", "store.after_commit"])
async def test_fault_between_the_two_loses_and_doubles_nothing(point, tmp_path, url):
    """The record fails as the delivery is passed on: one way or the other has it."""

    class Struck:
        times = 0

        def __call__(self, name: str) -> None:
            self.times += 1
            if self.times == 1:
                raise StoreUnavailable(name)

    struck = Struck()

    def arm(name: str) -> None:
        failpoints.arm(point, struck)

    outside = Outside(office_faults=[NEVER, NEVER])
    failpoints.arm("courier.before_pass_on", arm)
    keys = "lease_seconds = 1"
    try:
        async with small_city(
            tmp_path, url=url, outside=outside, urp=both(), outbox=keys
        ) as city:
            await city.say(text="una buca")
            await city.until(lambda: bool(outside.spares))
            await city.settle()

            assert struck.times
            assert 1 == len(outside.spares) + len(outside.handovers)
            assert [] == await dead(city)
    finally:
        failpoints.disarm()


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    main=st.lists(st.sampled_from([NEVER, DOWN, LOST]), max_size=6),
    spare=st.lists(st.sampled_from([NEVER, DOWN]), max_size=3),
)
def test_whatever_fails_each_message_ends_in_one_place(main, spare, tmp_path):
    """Main, spare or dead letter: one of them, and twice only where that is said."""
    asyncio.run(_story(list(main), list(spare), tmp_path))


async def _story(main: list, spare: list, tmp_path: Path) -> None:
    outside = Outside(office_faults=main, spare_faults=spare)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    keys = "breaker_failures = 99"
    async with small_city(
        folder, outside=outside, urp=both("keyed"), outbox=keys
    ) as city:
        for number in range(3):
            await city.say(sender=f"anna{number}", text=f"buca {number}")
        await city.settle()

        ended = [h.message.text for h in outside.handovers + outside.spares]
        dead_ones = {row.subject for row in await city.rows(schema.dead_letter)}
        texts = {d.id: d.message_id for d in await city.rows(schema.delivery)}
        assert len(ended) == len(set(ended))
        assert 3 == len(ended) + len({texts[each] for each in dead_ones})
        doubted = [True for _, twice in await passed_on(city) if twice]
        assert sum(h.maybe_sent for h in outside.spares) <= len(doubted)
