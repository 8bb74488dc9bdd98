"""Folders appear whole, once for each delivery, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from gateway_delivery import MaildropConfig, MaildropConnector, folder
from gateway_delivery.names import names_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeliveryError
from gateway.model import (
    Address,
    Enclosure,
    HealthStatus,
    Semantics,
    ServiceId,
    Urgency,
)

POINTS = ("maildrop.before_stage", "maildrop.before_mark", "maildrop.before_show")


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """The folder that the office looks into."""
    path = tmp_path / "strade"
    path.mkdir()
    return path


@pytest.fixture
def connector(drop: Path, context) -> MaildropConnector:
    """The office's connector."""
    return MaildropConnector(ServiceId("strade"), MaildropConfig(path=drop), context)


def seen(drop: Path) -> list[Path]:
    """Return what a reader sees."""
    return sorted(each for each in drop.iterdir() if not each.name.startswith("."))


async def test_handover_is_a_folder_with_all_there_is(
    connector, drop, handover, enclosure
):
    """JSON for programs, text for people, the files under names of their own."""
    files = (enclosure("../buca.jpg"), enclosure("../buca.jpg", b"other"))
    receipt = await connector.deliver(
        handover(enclosures=files, missing=("video.mp4 has not arrived",))
    )

    (shown,) = seen(drop)
    said = json.loads((shown / "message.json").read_text())
    read = (shown / "message.txt").read_text()
    names = [each["file"] for each in said["files"]]
    assert f"URP-2026-000123_{receipt.delivery_id}" == shown.name
    assert ["1-buca.jpg", "2-buca.jpg"] == [name.replace("..", "") for name in names]
    assert [b"abc", b"other"] == [(shown / name).read_bytes() for name in names]
    assert ("report", "URP-2026-000123") == (said["kind"], said["case"]["number"])
    assert "whatsapp:393290000000" == said["message"]["sender"]["address"]
    assert "Da: Maria Deiana (393290000000)" in read
    assert "Inviato: 29/03/2026 alle 22:04, via WhatsApp" in read
    assert "Luogo: via Roma, 39.215300, 9.110700" in read
    assert "Manca: video.mp4 has not arrived" in read


@pytest.mark.parametrize("urgency", [None, *Urgency])
async def test_programs_read_that_it_is_urgent(connector, drop, handover, urgency):
    """What comes once more because of a deadline says so."""
    await connector.deliver(handover(urgency=urgency))

    (shown,) = seen(drop)
    said = json.loads((shown / "message.json").read_text())
    assert urgency == said["urgency"]


async def test_repetition_changes_nothing(connector, drop, handover):
    """The same delivery again is the same folder, as it was first."""
    first = await connector.deliver(handover(text="one"))
    again = await connector.deliver(handover(text="two", attempt=2, maybe_sent=True))

    (shown,) = seen(drop)
    assert first.external_id == again.external_id
    assert "one" in (shown / "message.txt").read_text()
    assert Semantics.KEYED is connector.semantics


async def test_folder_that_the_office_has_taken_does_not_come_again(
    connector, drop, handover
):
    """A repetition after the office has moved the folder away brings none back."""
    await connector.deliver(handover())
    shutil.rmtree(seen(drop)[0])

    await connector.deliver(handover(attempt=2))

    assert [] == seen(drop)


@pytest.mark.parametrize("point", [*POINTS, "maildrop.after_show"])
async def test_cut_off_anywhere_the_office_gets_it_whole_and_once(
    point, connector, drop, handover, armed
):
    """A fault at any step shows nothing or all; the next attempt completes it."""

    def fail(name: str) -> None:
        raise OSError(28, "No space left on device")

    armed(point, fail)
    with pytest.raises(DeliveryError) as caught:
        await connector.deliver(handover())
    before = seen(drop)
    armed(point, lambda name: None)
    await connector.deliver(handover(attempt=2))

    (shown,) = seen(drop)
    held = sorted(each.name for each in shown.iterdir())
    assert (point == "maildrop.after_show") == bool(before)
    assert ["message.json", "message.txt"] == held
    assert (True, "maildrop_unwritable") == (caught.value.retryable, caught.value.code)
    assert [] == list((drop / folder.HIDDEN).glob("*.part"))


async def test_attempt_that_hangs_is_not_begun_twice(connector, drop, handover, armed):
    """While a thread still writes, the next attempt waits for that one."""
    gate, loop = asyncio.Event(), asyncio.get_running_loop()
    begun = []

    def hang(name: str) -> None:
        begun.append(name)
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()

    armed("maildrop.before_stage", hang)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connector.deliver(handover())
    again = asyncio.create_task(connector.deliver(handover(attempt=2)))
    await asyncio.sleep(0.05)
    gate.set()
    await again

    assert 1 == len(begun) == len(seen(drop))


async def test_folder_that_is_not_there_is_told(tmp_path, context, handover):
    """A share that is not mounted is the set-up's fault; it is tried again."""
    config = MaildropConfig(path=tmp_path / "gone")
    connector = MaildropConnector(ServiceId("strade"), config, context)

    health = await connector.check()
    with pytest.raises(DeliveryError) as caught:
        await connector.deliver(handover())

    assert HealthStatus.DOWN is health.status
    assert "the folder can't be written: no such file or directory" == health.text
    assert (True, True) == (caught.value.retryable, caught.value.account)


async def test_check_leaves_nothing_to_see(connector, drop):
    """The folder is tried without a message."""
    health = await connector.check()

    assert (HealthStatus.OK, []) == (health.status, seen(drop))
    assert [] == list((drop / folder.HIDDEN).iterdir())


def test_only_its_own_system_answers(connector):
    """Nobody else may speak for the service."""
    senders = ("service:strade", "service:rifiuti", "mailto:strade@comune.it")

    assert [True, False, False] == [
        connector.may_answer(Address.parse(each)) for each in senders
    ]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=3))
def test_whatever_a_file_is_called_its_name_will_do(names):
    """Names are distinct, stay in the folder, and fit every file system."""
    files = [
        Enclosure(name=n, media_type="x/y", size=0, sha256="", path=Path())
        for n in names
    ]
    made = names_of(files)

    assert len(names) == len(set(made))
    for each in made:
        assert Path(each).name == each
        assert len(each.encode()) <= 255
        assert not set(each) & set('/\\:*?"<>|\0\n')
