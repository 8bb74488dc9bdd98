"""What counts as a mere thank-you, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.courtesies import is_thanks
from gateway.model import (
    Address,
    Attachment,
    ChannelId,
    Location,
    Message,
    MessageId,
)

AT = datetime(2026, 11, 26, tzinfo=UTC)


def said(text: str, **more: object) -> Message:
    return Message(
        id=MessageId("1"),
        channel=ChannelId("phone"),
        external_id="1",
        sender=Address("phone", "anna"),
        sent_at=AT,
        received_at=AT,
        text=text,
        **more,
    )


@pytest.mark.parametrize(
    "text",
    [
        "grazie",
        "Grazie mille!!!",
        "Ok, grazie 🙏",
        "Perfetto.\nGrazie e buona giornata",
        "Vi ringrazio per la risposta, cordiali saluti",
        "Thank you very much for your help.",
    ],
)
def test_nothing_but_thanks(text):
    """Signs and small words around it make no difference."""
    assert is_thanks(said(text))


def test_below_a_heading():
    """What heads a mail is not what it says."""
    assert is_thanks(said("R: una buca\n\nGrazie!", subject="R: una buca"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "va bene",
        "👍",
        "grazie?",
        "Grazie, ma la buca c'è ancora",
        "grazie di niente",
        "No grazie",
        "Grazie. Mario Rossi, via Roma 3",
        "grazie " * 50,
    ],
)
def test_whatever_says_more(text):
    """An office has to see to it."""
    assert not is_thanks(said(text))


@pytest.mark.parametrize(
    "more",
    [
        {"attachments": (Attachment(media_type="image/jpeg", locator="1"),)},
        {"location": Location(latitude=39.2, longitude=9.1)},
    ],
    ids=["file", "place"],
)
def test_thanks_that_bring_something(more):
    """A photo or a place is to be looked at."""
    assert not is_thanks(said("grazie", **more))
