"""Several recipients, each with a word of the server of its own."""

from __future__ import annotations

from collections.abc import Callable
from email.parser import BytesParser

import pytest
from gateway_email import EmailConnector, EmailConnectorConfig, EmailSettings
from gateway_email.recipients import Tally, failure
from gateway_email.smtp import Refusal
from hypothesis import given
from hypothesis import strategies as st
from smtp_servers import Exchange

from gateway.errors import DeliveryError
from gateway.model import Handover, ServiceId
from gateway.plugin import Context

MakeContext = Callable[..., Context[EmailSettings]]
A, B, C = "a@comune.test", "b@comune.test", "c@comune.test"


def _connector(context: Context[EmailSettings], to: list[str]) -> EmailConnector:
    config = EmailConnectorConfig.model_validate({"to": to})
    return EmailConnector(ServiceId("strade"), config, context)


async def _attempts(
    exchange: Exchange,
    context: MakeContext,
    handover: Callable[..., Handover],
    *marks: bool,
) -> list[tuple[str, str, bool]]:
    """Try once for each mark (``maybe_sent``), each time with a new connector."""
    found = []
    async with exchange.serving() as port:
        for attempt, maybe_sent in enumerate(marks, start=1):
            connector = _connector(context(port=port), [A, B, C])
            try:
                each = handover(maybe_sent=maybe_sent, attempt=attempt)
                receipt = await connector.deliver(each)
            except DeliveryError as error:
                found.append((error.code, error.text, error.retryable))
            else:
                found.append((receipt.code, receipt.text, False))
    return found


async def test_only_those_put_off_are_tried_again(
    context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """Who took it or never will is left alone; the mail keeps id and date."""
    exchange = Exchange({B: ["450 later", "450 later", "250 OK"], C: ["550 no"]})
    found = await _attempts(exchange, context, handover, False, False, False, False)

    deferred = f"not taken by all: {A} taken, {B} 450, {C} 550"
    assert [
        ("smtp_recipients_deferred", deferred, True),
        ("smtp_recipients_deferred", deferred, True),
        ("smtp_partly_refused", f"{A} taken, {B} taken, {C} 550", False),
        ("smtp_partly_refused", f"{A} taken, {B} taken, {C} 550", False),
    ] == found
    assert [[A, B, C], [B], [B]] == exchange.offered
    assert [(A,), (B,)] == [each for each, _ in exchange.took]
    first, second = (BytesParser().parsebytes(raw) for _, raw in exchange.took)
    for name in ("Message-ID", "Date", "To", "Reply-To"):
        assert first[name] == second[name]


async def test_mail_put_off_as_a_whole_goes_to_all_who_may_have_it(
    context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """A temporary word on the mail itself is one on everybody accepted before."""
    exchange = Exchange({C: ["550 no"]}, dot=["452 full", "250 OK"])
    found = await _attempts(exchange, context, handover, False, False)

    assert ["smtp_recipients_deferred", "smtp_partly_refused"] == [
        code for code, _, _ in found
    ]
    assert [[A, B, C], [A, B]] == exchange.offered
    assert [(A, B)] == [each for each, _ in exchange.took]


async def test_lost_reply_concerns_only_those_it_was_for(
    context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """Who had the mail for certain before is not among those who may get it twice."""
    exchange = Exchange({B: ["450 no", "250 OK"]}, dot=["250 OK", "250 lost", "250 OK"])
    found = await _attempts(exchange, context, handover, False, False, True)

    assert ["smtp_recipients_deferred", "smtp_unknown", ""] == [
        code for code, _, _ in found
    ]
    assert [(A, C), (B,), (B,)] == [each for each, _ in exchange.took]
    assert b"X-Gateway-Possible-Duplicate: yes" in exchange.took[2][1]
    assert b"X-Gateway-Possible-Duplicate" not in exchange.took[1][1]


async def test_all_who_refused_are_asked_again_by_staff(
    context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """A dead letter that staff send once more goes to everybody, not to nobody."""
    words = {
        A: ["550 no", "250 OK"],
        B: ["450 no", "550 no", "250 OK"],
        C: ["550 no", "250 OK"],
    }
    exchange = Exchange(words)
    found = await _attempts(exchange, context, handover, False, False, False)

    assert [
        ("smtp_recipients_deferred", True),
        ("smtp_recipients_refused", False),
        ("", False),
    ] == [(code, retryable) for code, _, retryable in found]
    assert [[A, B, C], [B], [A, B, C]] == exchange.offered
    assert [(A, B, C)] == [each for each, _ in exchange.took]


async def test_citizens_address_is_not_named(
    context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """What is told of a single recipient is the code alone."""
    async with Exchange({A: ["550 no"]}).serving() as port:
        with pytest.raises(DeliveryError) as caught:
            await _connector(context(port=port), [A]).deliver(handover())

    assert "not taken by all: server says 550" == caught.value.text


def test_staff_may_send_it_once_more_to_all() -> None:
    """Only they begin anew: after a crash nobody is offered what all have."""
    tally = Tally(taken=frozenset({A, B}), refused={C: 550})
    assert tally == tally.or_afresh([A, B, C], 2)
    assert [A, B, C] == tally.or_afresh([A, B, C], 1).open([A, B, C])
    some = Tally(taken=frozenset({A}))
    assert [B, C] == some.or_afresh([A, B, C], 1).open([A, B, C])


@given(
    words=st.lists(st.sampled_from(["250", "450", "550"]), min_size=3, max_size=24),
    dots=st.lists(st.sampled_from(["250", "451", "554"]), max_size=6),
)
def test_nobody_gets_it_twice_and_nobody_is_forgotten(
    words: list[str], dots: list[str]
) -> None:
    """Whatever a server says, in whatever order, until it takes or refuses all."""
    tally, mails = Tally(), dict.fromkeys([A, B, C], 0)
    said, dotted = iter(words), iter(dots)
    for attempt in range(1, 41):
        tally = tally.or_afresh([A, B, C], attempt)
        offered = tally.open([A, B, C])
        codes = {a: int(next(said, "250")) for a in offered}
        dot = int(next(dotted, "250"))
        accepted = [a for a in offered if codes[a] == 250]
        refusals = [Refusal(address=a, code=c) for a, c in codes.items() if c != 250]
        if dot != 250:
            refusals += [Refusal(address=a, code=dot, at_data=True) for a in accepted]
        else:
            mails |= {address: mails[address] + 1 for address in accepted}
        tally = Tally.read(tally.after(offered, refusals).to_json())
        error = failure(tally, [A, B, C], refusals, "id")
        if error is None or not error.retryable:
            break

    assert max(mails.values()) <= 1
    assert tally.taken == {a for a, count in mails.items() if count}
    assert [] == tally.open([A, B, C])
    assert (error is None) is bool(tally.taken)
