"""The way of a message, from the channel to the office and back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import aiohttp
import orjson
import pytest
from small_city import Outside, small_city
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from gateway import outbox
from gateway.cli.opened import ACTOR
from gateway.errors import AttachmentError, DeliveryError
from gateway.model import Action, Assignment, Item, Message, ServiceId, Verdict
from gateway.plugin import NoConfig, Plugin, hookimpl
from gateway.store import schema

VOICE = Path(__file__).parents[1] / "attachments" / "data" / "voice.ogg"


class Strict(Plugin[NoConfig]):
    """Holds "brutto", rejects "bruttissimo", routes "buca" to Strade."""

    @hookimpl
    async def moderate_message(self, message: Message) -> Verdict | None:
        actions = {"brutto": Action.HOLD, "bruttissimo": Action.REJECT}
        action = actions.get(message.text)
        if action is None:
            return None
        return Verdict(action=action, rule="r", reason="Perché no.", source="strict")

    @hookimpl
    async def route_message(self, message: Message) -> Assignment | None:
        if message.text != "buca":
            return None
        service = ServiceId("strade")
        return Assignment(service=service, reason="buca", source="strict")


async def test_report_reaches_its_office_and_the_citizen_gets_a_number(tmp_path, url):
    """What matches a rule goes to its service; the citizen reads the case number."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        await city.say(text="buca")
        await city.settle()

        (handover,) = city.outside.handovers
        (notice,) = city.outside.notices
        assert ("strade", "buca") == (handover.service, handover.message.text)
        assert handover.case.number in notice.text
        assert "Strade" in notice.text
        assert "m1" == notice.quote


async def test_what_nobody_routes_goes_to_the_default_service(tmp_path):
    """No rule, no plugin: the default service gets it."""
    async with small_city(tmp_path) as city:
        await city.say(text="altro")
        await city.settle()

        assert ["urp"] == [h.service for h in city.outside.handovers]


async def test_numbers_have_no_gaps_and_next_message_joins_the_case(tmp_path, url):
    """Each citizen gets the next number; their next message joins the open case."""
    async with small_city(tmp_path, url=url) as city:
        for sender in ("anna", "bea", "anna", "carla"):
            await city.say(sender=sender, text="ciao")
            await city.settle()

        numbers = [h.case.number[-6:] for h in city.outside.handovers]
        assert ["000001", "000002", "000001", "000003"] == numbers
        assert 3 == len(city.outside.notices)


async def test_held_message_reaches_nobody_until_released(tmp_path, url):
    """A held message is kept from the office; staff let it go, on the record."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        await city.say(text="brutto")
        await city.settle()
        assert [] == city.outside.handovers
        (held,) = [m for m in await city.rows(schema.message) if m.state == "held"]
        assert "Perché no." in held.reason

        recorder = city.gateway.recorder
        await city.gateway.store.run(lambda c: recorder.release(c, held.id, ACTOR))
        await city.until(lambda: bool(city.outside.handovers))

        assert "brutto" == city.outside.handovers[0].message.text
        events = await city.rows(schema.event)
        assert ACTOR in {e.actor for e in events if e.action == "message.released"}


async def test_rejected_message_tells_the_citizen_why(tmp_path):
    """A rejection reaches the author with its reason, and no office."""
    async with small_city(tmp_path, Strict()) as city:
        await city.say(text="bruttissimo")
        await city.settle()

        assert [] == city.outside.handovers
        assert "Perché no." in city.outside.notices[0].text
        assert ["rejected"] == [
            m.state for m in await city.rows(schema.message) if m.direction == "in"
        ]


async def test_office_answer_goes_to_the_right_citizen(tmp_path, url):
    """An answer that names our hand-over goes out on the citizen's own channel."""
    async with small_city(tmp_path, Strict(), url=url) as city:
        await city.say(sender="anna", text="buca")
        await city.say(sender="bea", text="altro")
        await city.settle()
        (mine,) = [h for h in city.outside.handovers if h.service == "strade"]

        reference = f"<{mine.delivery_id}@office>"
        await city.say(
            "mail",
            sender="strade@office",
            text="Domani la ripariamo.",
            references=["<else>", reference],
        )
        await city.until(lambda: len(city.outside.notices) == 3)
        await city.settle()

        answer = city.outside.notices[-1]
        assert "anna" == answer.to.value
        assert {"answer", "notice"} == {n.purpose for n in city.outside.notices}
        (annas,) = [
            row.last_inbound_at
            for row in await city.rows(schema.conversation)
            if row.reply_to == "phone:anna"
        ]
        assert annas == answer.last_inbound_at
        assert "Domani la ripariamo." in answer.text
        assert mine.case.number in answer.text
        statuses = {c.number: c.status for c in await city.rows(schema.cases)}
        assert "answered" == statuses[mine.case.number]


async def test_answer_counts_though_another_recipient_is_still_to_come(tmp_path, url):
    """Who has a hand-over already may answer it before it is sent to all."""
    named = "<ours@office>"
    later = DeliveryError("part", "b 450", retryable=True, external_id=named)
    async with small_city(tmp_path, url=url, outbox="max_age_hours = 1") as city:
        city.outside.office_faults = [later] * 50
        await city.say(text="altro")
        await city.until(lambda: len(city.outside.office_faults) < 49)
        await city.say("mail", sender="urp@office", text="Fatto.", references=[named])
        await city.until(lambda: len(city.outside.notices) == 2)

        assert "Fatto." in city.outside.notices[-1].text
        assert "closed" == city.gateway.breakers["service:urp"].state.value


async def test_long_answer_is_several_messages_in_order(tmp_path, url):
    """The first answers the citizen's message, the last has the files' note."""
    async with small_city(tmp_path, url=url) as city:
        asked = await city.say(text="altro")
        await city.settle()
        city.outside.files = {"f": [b"a file"]}
        await city.say(
            "mail",
            sender="urp@office",
            text="".join(f"<{n:04}>" for n in range(50)),
            references=[f"<{city.outside.handovers[0].delivery_id}@office>"],
            files=["f"],
        )
        await city.settle()

        told = city.outside.notices[1:]
        text = "".join(notice.text for notice in told)
        assert "".join(f"<{n:04}>" for n in range(50)) in text
        assert 4 <= len(told)
        assert [asked] + [None] * (len(told) - 1) == [n.quote for n in told]
        assert ["1 file" in n.text for n in told] == [False] * (len(told) - 1) + [True]


async def test_files_of_an_answer_go_apart(tmp_path, url):
    """Where a file is a message: the text, then each of them; a lost one is told."""
    async with small_city(tmp_path, url=url) as city:
        await city.say("album", text="altro")
        await city.settle()
        gone = AttachmentError("gone", "gone", retryable=False)
        city.outside.files = {"a": [b"first"], "b": [gone], "c": [b"third"]}
        await city.say(
            "mail",
            sender="urp@office",
            text="Ecco le foto.",
            references=[f"<{city.outside.handovers[0].delivery_id}@office>"],
            files=["a", "b", "c"],
        )
        await city.settle()

        told = city.outside.notices[1:]
        digests = [[e.sha256 for e in notice.enclosures] for notice in told]
        assert [[], [sha256(b"first")], [], [sha256(b"third")]] == digests
        assert "Ecco le foto." in told[0].text
        assert ["", "l'allegato f non è stato scaricato", ""] == [
            notice.text for notice in told[1:]
        ]
        assert 4 == len({notice.delivery_id for notice in told})


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("sender", "automatic"),
    [("urp@office", False), ("stranger", False), ("strade@office", True)],
    ids=["another office", "a stranger", "out-of-office"],
)
async def test_nobody_else_speaks_for_a_service(tmp_path, sender, automatic):
    """Only a sender of that service may answer for it; all else is held for staff."""
    async with small_city(tmp_path, Strict()) as city:
        await city.say(text="buca")
        await city.settle()
        reference = f"<{city.outside.handovers[0].delivery_id}@office>"

        await city.say(
            "mail",
            sender=sender,
            text="Ciao",
            references=[reference],
            automatic=automatic,
        )
        await city.settle()

        assert 1 == len(city.outside.notices)
        states = [m.state for m in await city.rows(schema.message)]
        assert 1 == states.count("held")


async def test_automatic_mail_is_kept_and_never_answered(tmp_path):
    """A machine's message is held; answering it could start a loop."""
    async with small_city(tmp_path) as city:
        await city.say(text="Sono in ferie", automatic=True)
        await city.settle()

        assert ([], []) == (city.outside.notices, city.outside.handovers)
        assert ["held"] == [m.state for m in await city.rows(schema.message)]


async def test_receipts_only_move_forward(tmp_path, url):
    """Late and repeated receipts never take a delivery back."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="ciao")
        await city.settle()
        sent = f"sent-{city.outside.notices[0].delivery_id}"

        for status in ("read", "delivered", "sent"):
            await city.report(status, sent)
            await city.settle()

        states = {d.target: d.state for d in await city.rows(schema.delivery)}
        assert "read" == states["channel:phone"]
        assert 4 == len(
            [r for r in await city.rows(schema.receipt) if "sent-" in r.external_id]
        )


async def test_receipt_that_comes_first_is_applied_later(tmp_path):
    """The provider's word may come before our own record of the send."""
    async with small_city(tmp_path) as city:
        original_send = type(city.gateway.channels["phone"]).send

        async def send(channel, outgoing):
            await city.report("delivered", f"sent-{outgoing.delivery_id}")
            await city.until(lambda: True)
            return await original_send(channel, outgoing)

        type(city.gateway.channels["phone"]).send = send
        await city.say(text="ciao")
        await city.settle()

        states = {d.target: d.state for d in await city.rows(schema.delivery)}
        assert "delivered" == states["channel:phone"]


async def test_failed_receipt_is_shown_to_staff(tmp_path):
    """What the provider could not deliver is a dead letter with its code."""
    async with small_city(tmp_path) as city:
        await city.say(text="ciao")
        await city.settle()
        sent = f"sent-{city.outside.notices[0].delivery_id}"

        await city.report("failed", sent, code="131026")
        await city.settle()

        assert ["131026"] == [d.code for d in await city.rows(schema.dead_letter)]


async def test_failed_delivery_is_sent_anew_when_staff_retry(tmp_path, url):
    """What the other side gave up, and somebody has put right."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="ciao")
        await city.settle()
        ours = city.outside.notices[0].delivery_id
        await city.report("failed", "", ours=ours, code="5.1.1")
        await city.settle()
        (letter,) = await city.rows(schema.dead_letter)
        await city.gateway.store.run(lambda c: outbox.resurrect(c, letter.id, ACTOR))
        await city.settle()

        assert [ours, ours] == [n.delivery_id for n in city.outside.notices]
        assert ["sent"] == [
            d.state for d in await city.rows(schema.delivery) if d.id == ours
        ]


@pytest.mark.parametrize("status", ["sent", "delivered", "failed"])
async def test_word_on_one_recipient_ends_nothing_for_the_others(tmp_path, url, status):
    """While some are still to be tried; a failure is shown to staff beside."""
    named = "<ours@office>"
    later = DeliveryError("part", "b 450", retryable=True, external_id=named)
    outside = Outside(office_faults=[later] * 4)
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await city.say(text="altro")
        await city.until(lambda: len(city.outside.office_faults) < 4)
        await city.report(status, named, code="5.1.1")
        await city.settle()

        assert 1 == len(city.outside.handovers)
        states = {d.target: d.state for d in await city.rows(schema.delivery)}
        assert "sent" == states["service:urp"]
        letters = [d.code for d in await city.rows(schema.dead_letter)]
        assert (["5.1.1"] if status == "failed" else []) == letters


async def test_word_on_one_recipient_may_come_before_our_own_record(tmp_path, url):
    """It is kept, and shown once we know which delivery it is about."""
    named = "<ours@office>"
    later = DeliveryError("part", "b 450", retryable=True, external_id=named)
    outside = Outside(office_faults=[later])
    async with small_city(tmp_path, url=url, outside=outside) as city:
        await city.report("failed", named, code="5.1.1")
        await city.settle()
        await city.say(text="altro")
        await city.settle()

        assert ["5.1.1"] == [d.code for d in await city.rows(schema.dead_letter)]


async def test_unreachable_target_is_retried_until_it_answers(tmp_path):
    """Temporary failures are tried again; the citizen gets one notice."""
    busy = DeliveryError("busy", "no", retryable=True)
    async with small_city(tmp_path, outside=Outside(faults=[busy, busy])) as city:
        await city.say(text="ciao")
        await city.settle()

        assert 1 == len(city.outside.notices)
        assert 3 == city.outside.notices[0].attempt


async def test_permanent_failure_becomes_a_dead_letter(tmp_path):
    """What can't be delivered is given up with a reason, and shown."""
    never = DeliveryError("gone", "no such number", retryable=False)
    async with small_city(tmp_path, outside=Outside(faults=[never])) as city:
        await city.say(text="ciao")
        await city.settle()

        (letter,) = await city.rows(schema.dead_letter)
        assert ("gone", "deliver:channel:phone") == (letter.code, letter.queue)


async def test_target_down_too_long_ends_in_the_dead_letters(tmp_path):
    """Retries end with the configured age, visibly."""
    busy = [DeliveryError("busy", "no", retryable=True) for _ in range(99)]
    outbox = "max_age_hours = 0.0001\nbreaker_failures = 1000"
    async with small_city(
        tmp_path, outside=Outside(faults=busy), outbox=outbox
    ) as city:
        await city.say(text="ciao")
        await city.settle()

        assert ["expired"] == [d.code for d in await city.rows(schema.dead_letter)]


async def test_unknown_outcome_resolved_by_a_receipt_is_not_sent_again(tmp_path):
    """A time-out after acceptance: the receipt tells, and nothing is repeated."""
    lost = DeliveryError("lost", "reply", retryable=True, unknown=True)
    outside = Outside(faults=[lost], grace=60.0)
    async with small_city(tmp_path, outside=outside) as city:
        await city.say(text="ciao")
        await city.settle(waiting=1)
        (unknown,) = [
            d for d in await city.rows(schema.delivery) if d.state == "unknown"
        ]

        receipts = city.gateway.channels["phone"]
        parse = type(receipts).parse

        def with_our_id(channel, inbound):
            from dataclasses import replace  # noqa: PLC0415 (only here)

            return replace(parse(channel, inbound), delivery_id=unknown.id)

        type(receipts).parse = with_our_id
        await city.report("delivered", "theirs")
        await city.settle()

        assert [] == outside.notices
        states = {d.target: d.state for d in await city.rows(schema.delivery)}
        assert "delivered" == states["channel:phone"]


async def test_hand_over_waits_for_the_attachment(tmp_path, url):
    """The photo goes along, byte for byte, though it takes two attempts to fetch."""
    again = AttachmentError("busy", "later", retryable=True)
    outside = Outside(files={"a": [again, b"una foto"]})
    async with small_city(tmp_path, outside=outside, url=url) as city:
        await city.say(text="ecco", files=["a"])
        await city.settle()

        (handover,) = outside.handovers
        (enclosure,) = handover.enclosures
        assert b"una foto" == enclosure.path.read_bytes()
        assert () == handover.missing


async def test_log_of_a_failed_delivery_names_it(tmp_path):
    """Who reads that a target failed learns of which delivery and message."""
    outside = Outside(faults=[RuntimeError("Maria, via Roma")])
    with capture_logs(processors=[merge_contextvars]) as lines:
        async with small_city(tmp_path, outside=outside) as city:
            await city.say(text="buca")
            await city.settle()
            rows = await city.rows(schema.delivery)

    (line,) = [line for line in lines if line["event"] == "target_failed"]
    (row,) = [row for row in rows if row.target == line["target"]]
    assert (row.id, row.message_id) == (line["delivery"], line["message"])


class Broken(Plugin[NoConfig]):
    """Fails at every message."""

    @hookimpl
    async def moderate_message(self, message: Message) -> Verdict | None:
        raise RuntimeError(message.text)


async def test_log_of_a_failing_plugin_names_the_message(tmp_path):
    """Who reads that a plugin failed learns at which message, and nothing personal."""
    with capture_logs(processors=[merge_contextvars]) as lines:
        async with small_city(tmp_path, Broken()) as city:
            await city.say(text="Maria, via Roma")
            await city.settle()
            (held,) = [r for r in await city.rows(schema.message) if r.state == "held"]

    (line,) = [line for line in lines if line["event"] == "plugin_failed"]
    assert held.id == line["message"]
    assert "Maria" not in str(lines)


async def test_length_of_a_recording_goes_along(tmp_path, url):
    """The office and whoever looks learn how long a recording lasts."""
    outside = Outside(files={"a": [VOICE.read_bytes()]})
    async with small_city(tmp_path, outside=outside, url=url) as city:
        await city.say(text="", files=["a"])
        await city.settle()

        (handover,) = outside.handovers
        (enclosure,) = handover.enclosures
        (row,) = await city.rows(schema.attachment)
        assert (0.1, 0.1) == (enclosure.seconds, row.seconds)


async def test_lost_attachment_leaves_a_note(tmp_path):
    """What can't be had any more is named in the hand-over."""
    gone = AttachmentError("expired", "gone", retryable=False)
    outside = Outside(files={"a": [gone]})
    async with small_city(tmp_path, outside=outside) as city:
        await city.say(text="ecco", files=["a"])
        await city.settle()

        (handover,) = outside.handovers
        assert ("l'allegato f non è stato scaricato",) == handover.missing


async def test_late_attachment_follows_its_message(tmp_path):
    """The office gets the text in time, and the file when it is there."""
    later = AttachmentError("busy", "later", retryable=True, retry_after=0.6)
    outside = Outside(files={"a": [later, b"una foto"]})
    async with small_city(tmp_path, outside=outside, wait=0.1) as city:
        await city.say(text="ecco", files=["a"])
        await city.until(lambda: len(outside.handovers) == 2)
        await city.settle()

        first, second = outside.handovers
        assert (1, 0) == (len(first.missing), len(first.enclosures))
        assert (True, 1) == (second.follow_up, len(second.enclosures))


async def test_office_is_told_what_it_has_had_before(tmp_path):
    """A second message on a matter is an addition, and its late files follow it."""
    later = AttachmentError("busy", "later", retryable=True, retry_after=0.6)
    outside = Outside(files={"a": [later, b"una foto"]})
    async with small_city(tmp_path, outside=outside, wait=0.1) as city:
        await city.say(text="una buca")
        await city.settle()
        await city.say(text="ecco la foto", files=["a"])
        await city.until(lambda: len(outside.handovers) == 3)
        await city.settle()

        assert [(False, False), (True, False), (False, True)] == [
            (each.addition, each.follow_up) for each in outside.handovers
        ]


async def test_unreadable_item_is_kept_and_shown(tmp_path):
    """What no channel can read is a dead letter; the next message goes on."""
    async with small_city(tmp_path) as city:
        await city.gateway.inbox.accept("phone", b"\xff not json", [])
        await city.say(sender="anna", text=5)
        await city.say(sender="anna", text="ciao")
        await city.settle()

        (letter,) = await city.rows(schema.dead_letter)
        assert "unreadable" == letter.code
        assert "text: expected text, found integer" == letter.reason
        assert ["ciao"] == [h.message.text for h in city.outside.handovers]


async def test_same_message_twice_has_one_effect(tmp_path, url):
    """A provider's repetition is answered and changes nothing."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="ciao")
        city._count -= 1
        await city.say(text="ciao")
        await city.settle()

        assert 1 == len(city.outside.handovers)
        assert 1 == len(await city.rows(schema.original))


async def test_other_content_under_a_known_id_is_counted_and_goes_nowhere(tmp_path):
    """The office gets what came first; the metrics tell of what came after."""
    async with small_city(tmp_path) as city, aiohttp.ClientSession() as http:
        await city.say(text="ciao")
        city._count -= 1
        await city.say(text="arrivederci")
        await city.settle()

        assert ["ciao"] == [h.message.text for h in city.outside.handovers]
        assert 2 == len(await city.rows(schema.original))
        async with http.get(f"{city.url}/metrics") as response:
            text = await response.text()
        assert 'gateway_intake_conflicts_total{channel="phone"} 1.0' in text


async def test_channel_says_whether_a_part_is_the_same(tmp_path):
    """Of a part, batched anew, counts what its own channel reads."""
    item = Item(external_id="m1", sender="anna", part="first")
    async with small_city(tmp_path) as city:
        for batch in ("one", "two"):
            body = orjson.dumps({"from": "anna", "text": "ciao", "batch": batch})
            await city.gateway.inbox.accept("phone", body, [item])

        assert 1 == len(await city.rows(schema.original))


async def test_health_tells_how_everything_is(tmp_path):
    """/readyz is green with every part named; /metrics counts what came and went."""
    async with (
        small_city(tmp_path) as city,
        aiohttp.ClientSession() as http,
    ):
        await city.say(text="ciao")
        await city.settle()

        async with http.get(f"{city.url}/healthz") as response:
            assert 200 == response.status
        async with http.get(f"{city.url}/readyz") as response:
            state = await response.json()
            assert (200, "ok") == (response.status, state["status"])
            assert {"city"} == set(state["plugins"])
            assert {"album", "chat", "letter", "mail", "phone"} == set(
                state["channels"]
            )
        async with http.get(f"{city.url}/metrics") as response:
            text = await response.text()
        assert 'gateway_intake_items_total{channel="phone",result="new"} 1.0' in text
        assert (
            'gateway_deliveries_total{result="sent",target="service:urp"} 1.0' in text
        )


async def test_open_breaker_is_shown_and_closes_again(tmp_path):
    """A target that keeps failing is left alone, seen in health, and probed."""
    busy = [DeliveryError("busy", "no", retryable=True) for _ in range(3)]
    outbox = "breaker_failures = 2\nbreaker_seconds = 0.3"
    async with (
        small_city(tmp_path, outside=Outside(faults=busy), outbox=outbox) as city,
        aiohttp.ClientSession() as http,
    ):
        await city.say(text="ciao")
        breaker = city.gateway.breakers["channel:phone"]
        await city.until(lambda: breaker.state.value == "open")
        async with http.get(f"{city.url}/readyz") as response:
            state = await response.json()
        assert (True, "degraded") == (state["ready"], state["status"])
        assert "open" == state["targets"]["channel:phone"]

        await city.settle()

        assert "closed" == breaker.state.value
        assert 1 == len(city.outside.notices)


async def test_answer_in_english_where_the_city_wants_it(tmp_path):
    """The texts are in the configured language."""
    async with small_city(tmp_path, gateway='language = "en"') as city:
        await city.say(text="hello")
        await city.settle()

        assert city.outside.notices[0].text.startswith("Thank you, your report is")


async def test_silent_city_sends_no_notice(tmp_path):
    """Without acknowledgements only the office hears of a message."""
    async with small_city(tmp_path, gateway="acknowledge = false") as city:
        await city.say(text="ciao")
        await city.settle()

        assert (0, 1) == (len(city.outside.notices), len(city.outside.handovers))
