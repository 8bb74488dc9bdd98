"""How a channel reads: what it can't, and what it has no room for."""

from __future__ import annotations

import pickle

import pytest
from small_city import small_city

from gateway.errors import (
    AttachmentError,
    ConfigError,
    DeliveryError,
    Overloaded,
    PayloadError,
    Problem,
    Unreadable,
)
from gateway.store import schema

ERRORS = [
    AttachmentError("gone", "no longer there", retryable=True, retry_after=3.0),
    ConfigError((Problem(file="f", line=1, key="k", found="x", allowed="y"),)),
    DeliveryError("full", "no room", retryable=True, too_fast="target"),
    Overloaded("too much"),
    PayloadError("a.b", "missing"),
    Unreadable("mail", "takes too long", code="reader_timeout"),
]


async def test_no_room_to_read_costs_no_life(tmp_path):
    """However often there is no room, the message is read in the end."""
    async with small_city(tmp_path) as city:
        phone = type(city.gateway.channels["phone"])
        refusals = ["no room"] * (city.gateway.settings.pipeline.max_crashes + 2)

        async def read(channel, inbound):
            if refusals:
                raise Overloaded(refusals.pop())
            return channel.parse(inbound)

        phone.read = read
        await city.say(text="ciao")
        await city.settle()

        assert [] == refusals
        assert ["ciao"] == [each.message.text for each in city.outside.handovers]
        assert [] == await city.rows(schema.dead_letter)


async def test_no_room_to_read_keeps_the_order(tmp_path):
    """What the same citizen says next is not read before."""
    async with small_city(tmp_path) as city:
        phone = type(city.gateway.channels["phone"])
        refusals = ["no room"] * 3

        async def read(channel, inbound):
            message = channel.parse(inbound)
            if message.text == "first" and refusals:
                raise Overloaded(refusals.pop())
            return message

        phone.read = read
        await city.say(text="first")
        await city.say(text="second")
        await city.settle()

        said = [each.message.text for each in city.outside.handovers]
        assert ["first", "second"] == said


async def test_code_of_an_unreadable_item_says_why(tmp_path):
    """Staff and monitoring see what stopped the reader."""
    async with small_city(tmp_path) as city:

        async def read(channel, inbound):
            raise Unreadable("mail", "takes too long", code="reader_timeout")

        type(city.gateway.channels["phone"]).read = read
        await city.say(text="ciao")
        await city.settle()

        (letter,) = await city.rows(schema.dead_letter)
        assert ("reader_timeout", "mail: takes too long") == (
            letter.code,
            letter.reason,
        )


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_cross_processes_as_they_are(error):
    """What a child process raises is what its parent catches."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)

    assert type(error) is type(again)
    assert (str(error), vars(error)) == (str(again), vars(again))
