"""Links to files: signed, for one file, until a day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotFound
from gateway.links import Links, Ticket

ROME = ZoneInfo("Europe/Rome")
BASE = "https://gw.example.it/citta/"
LINKS = Links(BASE, "sixteen characters", 30, ROME)
TICKET = Ticket(
    message_id="0198f2a4-0000-7000-8000-000000000001",
    position=2,
    last_day=date(2026, 3, 31),
)
TOKEN = LINKS.url(TICKET).removeprefix("https://gw.example.it/citta/files/")


def test_a_link_is_good_for_what_it_was_made_for():
    """The token is safe in a path, and says which file and until when."""
    assert TOKEN.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert TICKET == LINKS.read(TOKEN)


@pytest.mark.parametrize("key", ["another key of ours", "sixteen character"])
def test_another_key_ends_all_links(key):
    """What was signed with a key that leaked is worth nothing."""
    with pytest.raises(NotFound):
        Links(BASE, key, 30, ROME).read(TOKEN)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("Aaz09-_.~"))
def test_no_character_can_be_changed(at, other):
    """Nobody makes one link of another: another file, or a longer life."""
    changed = TOKEN[:at] + other + TOKEN[at + 1 :]
    try:
        read = LINKS.read(changed)
    except NotFound:
        return

    assert TICKET == read  # spare bits at the end of base64


@given(st.text())
def test_any_text_is_refused(text):
    """What anybody may put into the path never does harm."""
    with pytest.raises(NotFound):
        LINKS.read(text)


@pytest.mark.parametrize(
    ("at", "over"),
    [
        (datetime(2026, 3, 31, 21, 59, tzinfo=UTC), False),
        (datetime(2026, 3, 31, 22, 0, tzinfo=UTC), True),
    ],
)
def test_last_day_is_whole(at, over):
    """The day that was told ends at midnight in the city, in summer time too."""
    assert over is LINKS.is_over(TICKET, at)


def test_last_day_counts_from_the_delivery():
    """Every attempt says the same day; days are those of the city's calendar."""
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # the 2nd in Rome

    assert date(2026, 4, 1) == LINKS.last_day(late)
