"""What is said to the citizen is kept, and shown with the state it belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from gateway_delivery.open311_server import showing
from gateway_delivery.open311_server.words import KeptWords, Word, Words

from gateway.model import (
    Address,
    CaseStatus,
    CaseView,
    ChannelId,
    DeliveryId,
    Inbound,
    InboxId,
    ItemKind,
    Original,
    Outgoing,
    ServiceId,
)
from gateway.testing.kit import MemoryState

APP = ChannelId("app")
MOMENT = datetime(2026, 3, 29, 20, 4, 5, tzinfo=UTC)


async def test_what_is_told_again_changes_nothing(outgoing):
    """The repetition of an earlier word doesn't hide the later one."""
    kept = KeptWords(MemoryState())
    first, second = outgoing("a", "uno"), outgoing("b", "due", seconds=1)
    for each in (first, first, second, second, first):
        await kept.keep(each)

    words = (await kept.of(["001.t", "other"], MOMENT))["001.t"]
    assert "due" == words.notes.text
    assert None is words.notice


@pytest.mark.parametrize(
    ("status", "untold", "shown"),
    [
        (CaseStatus.ASSIGNED, False, "old"),
        (CaseStatus.ANSWERED, True, "old"),
        (CaseStatus.CLOSED, True, ""),
        (CaseStatus.CLOSED, False, "old new"),
    ],
)
@pytest.mark.parametrize("age", ["old", "new"])
def test_words_belong_to_the_state_that_is_shown(status, untold, shown, age):
    """What was said while the case was being read waits for the next time."""
    said = MOMENT + timedelta(seconds=1 if age == "new" else -1)
    words = Words(asked_at=MOMENT, notes=Word(text="Fatto.", at=said))
    original = Original(id="o", channel=APP, body=b"", headers={}, received_at=MOMENT)
    item = Inbound(
        id=InboxId("i"),
        channel=APP,
        external_id="001.t",
        kind=ItemKind.MESSAGE,
        part="",
        sender="001.t",
        original=original,
    )
    view = CaseView(
        number="1",
        service=ServiceId("strade"),
        status=status,
        opened_at=MOMENT,
        last_message_at=MOMENT,
        closed_at=MOMENT,
        deadline_at=None,
        untold=untold,
        item=item,
    )

    row = showing.request(view, words, {}, {}, private=True)
    assert ("Fatto." if age in shown else None) == row["status_notes"]


@pytest.fixture
def outgoing():
    """Make an answer to a citizen."""

    def make(delivery: str, text: str, seconds: int = 0) -> Outgoing:
        return Outgoing(
            delivery_id=DeliveryId(delivery),
            attempt=1,
            created_at=MOMENT + timedelta(seconds=seconds),
            to=Address("open311", "001.t"),
            text=text,
            purpose="answer",
        )

    return make
