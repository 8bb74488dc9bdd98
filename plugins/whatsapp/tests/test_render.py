"""What is sent to Meta."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gateway_whatsapp.render import carries, render

from gateway.errors import DeliveryError
from gateway.model import Address, Enclosure, Location


def test_text_carries_our_id_and_the_quote(outgoing):
    """The delivery's id travels with the text, and comes back with every status."""
    expected = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "393290000000",
        "type": "text",
        "text": {
            "body": "Grazie, la sua segnalazione è la URP-2026-000123.",
            "preview_url": False,
        },
        "biz_opaque_callback_data": "0198f2a4-7c1e-7b3a-9d55-0123456789ab",
        "context": {"message_id": "wamid.abc"},
    }

    assert expected == render(outgoing())


def test_user_id_goes_into_recipient(outgoing):
    """Who has no number is written to by user id."""
    body = render(outgoing(to=Address("whatsapp", "IT.13491208655302741918")))

    assert "IT.13491208655302741918" == body["recipient"]
    assert "to" not in body


def test_nothing_is_quoted_without_a_quote(outgoing):
    """A message that answers none has no context."""
    assert "context" not in render(outgoing(quote=None))


def test_repetition_is_the_same(outgoing):
    """A later attempt sends the same body: the other side can recognise it."""
    assert render(outgoing()) == render(outgoing(attempt=7, maybe_sent=True))


def test_longest_text_fits(outgoing):
    """4,096 characters are allowed."""
    assert "è" * 4096 == render(outgoing(text="è" * 4096))["text"]["body"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"text": "è" * 4097}, "text_too_long"),
        ({"to": Address("mailto", "a@b.it")}, "bad_address"),
    ],
)
def test_what_can_not_be_sent(outgoing, changes, code):
    """What Meta would never take is not tried."""
    with pytest.raises(DeliveryError) as caught:
        render(outgoing(**changes))

    assert (code, False, False) == (
        caught.value.code,
        caught.value.retryable,
        caught.value.unknown,
    )


PLACE = Location(latitude=39.21, longitude=9.11, name="Comune", address="Via Roma")


def test_position(outgoing):
    """An office's point on the map is one for the citizen."""
    body = render(outgoing(text="", location=PLACE))

    assert "location" == body["type"]
    assert {
        "latitude": 39.21,
        "longitude": 9.11,
        "name": "Comune",
        "address": "Via Roma",
    } == body["location"]


def test_position_with_an_address_only(outgoing):
    """WhatsApp shows an address below a name only: it becomes the name."""
    place = replace(PLACE, name="")

    assert "Via Roma" == render(outgoing(text="", location=place))["location"]["name"]


@pytest.mark.parametrize(
    ("media_type", "size", "expected"),
    [
        ("image/jpeg", 5 * 2**20, True),
        ("image/jpeg", 5 * 2**20 + 1, False),
        ("application/pdf", 10, True),
        ("application/zip", 10, False),
        ("image/heic", 10, False),
    ],
)
def test_files_that_can_be_sent(media_type, size, expected):
    """Of the others the citizen reads that they are there."""
    file = Enclosure(
        name="f", media_type=media_type, size=size, sha256="", path=Path("f")
    )

    assert expected == carries(file)
