"""What citizens are told outside office hours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from small_city import small_city
from test_questions import Asking
from test_stream import Strict

from gateway.app import Parts
from gateway.testing.kit import ManualClock

SUNDAY = datetime(2026, 11, 29, 21, tzinfo=UTC)
MONDAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
HOURS = """
[hours]
monday = ["09:00-13:00"]
[services.strade.hours]
tuesday = ["08:00-13:00"]
"""
CLOSED = " L'ufficio è chiuso; riapre domani alle 9:00."


def night(at: datetime = SUNDAY) -> Parts:
    return Parts(clock=ManualClock(at=at))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lampione", "URP-2026-000001. La stiamo passando all'ufficio: URP."),
        ("brutto", "Sarà letto da un operatore."),
    ],
)
async def test_first_notice_says_when_the_office_opens(tmp_path, text, told):
    """By night the citizen reads when; by day nothing of it."""
    for at, more in ((SUNDAY, CLOSED), (MONDAY, "")):
        folder = tmp_path / f"{at.day}"
        folder.mkdir()
        async with small_city(
            folder, Strict(), sections=HOURS, parts=night(at)
        ) as city:
            await city.say(text=text)
            await city.until(lambda city=city: city.outside.notices != [])

            (notice,) = city.outside.notices
            assert notice.text.endswith(f"{told}{more}")


async def test_a_service_has_hours_of_its_own(tmp_path):
    """The notice tells the hours of the service that has the case."""
    async with small_city(
        tmp_path, Strict(), sections=HOURS, parts=night(MONDAY)
    ) as city:
        await city.say(text="buca")
        await city.settle()

        (notice,) = city.outside.notices
        assert notice.text.endswith("L'ufficio è chiuso; riapre domani alle 8:00.")


async def test_question_and_choice(tmp_path):
    """While nobody has the case, the city's hours; then those of whom it went to."""
    async with small_city(tmp_path, Asking(), sections=HOURS, parts=night()) as city:
        await city.say(channel="album", text="c'è un problema")
        await city.settle(waiting=1)
        question = f"sent-{city.outside.notices[-1].delivery_id}"
        await city.say(
            channel="album", text="Strade", choice="s", references=[question]
        )
        await city.settle()

        first, second = (each.text for each in city.outside.notices)
        assert f"{CLOSED.strip()}\n\nDi che si tratta?" in first
        assert second.endswith("riapre martedì alle 8:00.")


async def test_without_hours_nothing_is_said(tmp_path):
    """A city that gives no hours is not closed."""
    async with small_city(tmp_path, Strict(), parts=night()) as city:
        await city.say(text="buca")
        await city.settle()

        assert "riapre" not in city.outside.notices[0].text


async def test_rejection_says_no_hours(tmp_path):
    """Who is refused need not wait for anybody."""
    async with small_city(tmp_path, Strict(), sections=HOURS, parts=night()) as city:
        await city.say(text="bruttissimo")
        await city.settle()

        assert "riapre" not in city.outside.notices[0].text
