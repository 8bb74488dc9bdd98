"""The story: a citizen writes, is asked, an office answers, all through Meta."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from whatsapp_town import Town, answer, town_of

PHOTO = Path(__file__).parents[3] / "tests" / "attachments" / "data" / "exif.jpg"
CITIZEN = "393290000000"


@pytest.fixture
async def town(sim, tmp_path, secrets) -> AsyncIterator[Town]:
    """A whole gateway in process."""
    del secrets
    async with town_of(sim, tmp_path) as running:
        yield running


async def test_citizen_is_asked_and_answered(town: Town):
    """From "there is a problem" to text, photo and position of the office that it is.

    The answer quotes what the citizen wrote last, and marks it as read.
    """
    await town.say(town.meta.text(CITIZEN, "C'è un problema"))
    [asked] = await town.meta.wait_sent(1)
    rows = asked.menu
    assert ("interactive", ["Strade e buche", "Altro"]) == (
        asked.type,
        [title for _, title in rows],
    )
    await town.say(town.meta.choose(CITIZEN, asked, rows[0][0]))
    handover = await town.handed()
    assert ("strade", "C'è un problema") == (handover.service, handover.message.text)

    town.offices.files["a"] = PHOTO.read_bytes()
    place = {"latitude": 39.2, "longitude": 9.1, "name": "Via Dante"}
    text = "*Riparata* \N{THUMBS UP SIGN}"
    await answer(town.gateway, handover, text, files=["a"], location=place)
    _, settled, said, where, photo = await town.meta.wait_sent(5)

    assert "Strade" in settled.text
    assert text in said.text
    assert ("text", "location", "image") == (said.type, where.type, photo.type)
    assert [said.context_id] == [mark.message_id for mark in town.meta.read_marks]
    assert handover.case.number in said.text
