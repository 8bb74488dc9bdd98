"""What is sent to Meta."""

from __future__ import annotations

import pytest
from gateway_whatsapp.render import LONGEST_TEXT, render, split_text
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeliveryError
from gateway.model import Address


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


@given(st.lists(st.text(min_size=1, max_size=3_000), max_size=8).map(". ".join))
def test_long_text_becomes_messages_that_fit(text):
    """Nothing is lost but white space at the seams, and there is room for notes."""
    parts = split_text(text)

    assert all(len(part) <= LONGEST_TEXT - 500 for part in parts)
    assert _letters(text) == _letters("".join(parts))


def _letters(text: str) -> str:
    return "".join(text.split())


def test_long_text_is_cut_where_a_sentence_ends():
    """As a person would cut it."""
    sentence = "La buca in via Dante sarà riparata lunedì mattina. "
    parts = split_text(sentence * 150)

    assert 3 == len(parts)
    assert all(part.endswith("mattina.") for part in parts)
