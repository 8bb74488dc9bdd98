"""Each stored mail is read as the table beside its folder says."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailChannel
from gateway_email.enclosed import part_content
from gateway_email.reading import read_stored
from gateway_email.tasks import Ours

from gateway.errors import PayloadError
from gateway.model import Inbound, Message, Receipt

FIXTURES = Path(__file__).parent / "fixtures"
TABLES = [it for it in sorted(FIXTURES.glob("*.toml")) if it.with_suffix("").is_dir()]
OURS = Ours(
    key=b"0123456789abcdef", domain="comune.test", addresses=("urp@comune.test",)
)
CASES = [
    (FIXTURES / table.stem / file, expected)
    for table in TABLES
    for file, expected in tomllib.loads(table.read_text()).items()
]


@pytest.mark.parametrize(
    ("path", "expected"), CASES, ids=[f"{p.parent.name}/{p.name}" for p, _ in CASES]
)
def test_mail_is_read_as_its_table_says(
    path: Path, expected: dict[str, Any], inbound: Callable[[bytes], Inbound]
) -> None:
    """Text, sender and attachments, or the error that staff see.

    What is ``slow`` to unpack stays packed: see `test_channel_leaves_packed`.
    """
    expected = dict(expected)
    unpacks = not expected.pop("slow", False)

    assert expected == _reading(inbound(path.read_bytes()), unpacks=unpacks)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_every_file_is_in_its_table(table: Path) -> None:
    """No stored mail goes unjudged."""
    files = {path.name for path in (FIXTURES / table.stem).iterdir()}

    assert files == set(tomllib.loads(table.read_text()))


@pytest.mark.parametrize("path", [path for path, _ in CASES], ids=lambda it: it.stem)
def test_files_are_there_in_the_size_told(
    path: Path, inbound: Callable[[bytes], Inbound]
) -> None:
    """Each file is found by its locator; a mail in a mail byte for byte."""
    raw = path.read_bytes()
    with suppress(PayloadError):
        read = read_stored(inbound(raw), OURS)
        for each in read.attachments if isinstance(read, Message) else ():
            content = part_content(raw, each.locator)

            assert each.size == len(content)
            if each.media_type == "message/rfc822" and b"base64" not in raw:
                assert content in raw


async def test_channel_leaves_packed_what_takes_too_long(
    channel: Callable[..., EmailChannel], inbound: Callable[[bytes], Inbound]
) -> None:
    """A ``winmail.dat`` that never ends is a file, and its mail is read."""
    posta = channel(port=1)
    raw = (FIXTURES / "attachments" / "winmail_endless.eml").read_bytes()
    read = await posta.read(inbound(raw))
    await posta.close()

    assert isinstance(read, Message)
    assert ["winmail.dat"] == [each.name for each in read.attachments]


def _reading(item: Inbound, *, unpacks: bool) -> dict[str, Any]:
    """Return what is read from a mail in the form of the tables."""
    try:
        read = read_stored(item, OURS, unpacks=unpacks)
    except PayloadError as error:
        return {"error": error.code, "reason": str(error)}
    if isinstance(read, Receipt):
        return _receipt(read)
    return _message(read)


def _receipt(read: Receipt) -> dict[str, Any]:
    return {"receipt": read.status.value, "code": read.code}


def _message(read: Message) -> dict[str, Any]:
    row: dict[str, Any] = {"sender": read.sender.value, "text": read.text}
    if read.automatic:
        row["automatic"] = True
    if read.attachments:
        row["attachments"] = [
            f"{it.locator} {it.media_type} {it.size} {it.name}".strip()
            for it in read.attachments
        ]
    return row
