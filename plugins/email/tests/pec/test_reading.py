"""What is enclosed in mail of a PEC mailbox is read as in any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailChannel, PecChannel
from gateway_email.senders import sender_at_once

ENCLOSED = Path(__file__).parents[1] / "fixtures" / "attachments"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("winmail_with_text", 0),
        ("calendar_google", 2),
        ("winmail_endless", 1),
    ],
)
async def test_files_and_appointments(
    channel: Callable[..., EmailChannel],
    pec_channel: Callable[..., PecChannel],
    corpus: Any,
    name: str,
    kept: int,
):
    """A winmail.dat is unpacked, unless that never ends; a date is told in the text."""
    item = corpus.wrap((ENCLOSED / f"{name}.eml").read_bytes())
    ordinary, pec = channel(), pec_channel()
    try:
        as_usual, read = await ordinary.read(item), await pec.read(item)
    finally:
        await ordinary.close()
        await pec.close()

    assert as_usual.text == read.text
    assert as_usual.attachments == read.attachments
    packed = [each for each in read.attachments if each.name == "winmail.dat"]
    appointments = [each for each in read.attachments if each.name.endswith(".ics")]
    assert kept == len(packed or appointments)


def test_people_of_one_provider_do_not_wait_for_each_other(corpus: Any):
    """Each person has a lane, and each mail that receipts are about."""
    lanes = {
        path.stem: sender_at_once(path.read_bytes())
        for path in corpus.folder.glob("*.eml")
        if path.stem.startswith(("busta", "ricevuta"))
    }
    shared = [name for name, lane in lanes.items() if "posta-certificata@" in lane]
    assert [] == shared
    assert 3 <= len(set(lanes.values()))
