"""The channel against the mail server of the plugin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailChannel, EmailSettings
from gateway_email.devserver import MailServer
from gateway_email.imap import Mailbox, MailboxError, open_mailbox

from gateway.errors import StoreUnavailable
from gateway.model import (
    Address,
    DeliveryId,
    Enclosure,
    HealthStatus,
    Outgoing,
    ReceiptStatus,
)
from gateway.plugin import Context

Until = Callable[[Callable[[], bool]], Awaitable[None]]
MakeChannel = Callable[..., EmailChannel]
URP = "urp@comune.test"


def _mail(number: int) -> bytes:
    return f"From: a{number}@example.it\r\nSubject: {number}\r\n\r\nCiao.\r\n".encode()


@asynccontextmanager
async def _receiving(channel: EmailChannel) -> AsyncIterator[asyncio.Task[None]]:
    """Run ``receive`` once in the background."""
    task = asyncio.create_task(channel.receive())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, MailboxError, StoreUnavailable):
            await task


async def _uids(channel: EmailChannel, folder: str = "INBOX") -> list[int]:
    """Return what is in a folder of the server."""
    async with open_mailbox(channel.config, folder) as mailbox:
        return await mailbox.uids_after(0)


async def test_waiting_mail_is_stored_with_place_and_sender(
    server: MailServer, channel: MakeChannel, inbox: Any
) -> None:
    """Mail that was there before is taken in, byte for byte."""
    await server.deliver(URP, _mail(1))
    async with _receiving(channel(port=server.imap_port)):
        await inbox.wait_for(1)

    [item] = inbox.items
    place, validity, uid = item.external_id.rsplit(":", 2)
    assert (place, validity.isdigit(), uid) == (f"{URP}/INBOX", True, "101")
    assert item.sender == "mailto:a1@example.it"
    assert [_mail(1)] == list(inbox.originals.values())


async def test_another_account_is_another_mailbox(
    server: MailServer, channel: MakeChannel, inbox: Any, state: Any, until: Until
) -> None:
    """Numbers say nothing across accounts: Dovecot makes UIDVALIDITY of the time."""
    for account in (URP, "strade@comune.test"):
        await server.deliver(account, _mail(1))
        async with _receiving(channel(port=server.imap_port, username=account)):
            await inbox.wait_for(len(state.cursors) + 1)
            await until(lambda: len(state.cursors) == len(inbox.items))

    assert len(inbox.items) == 2


async def test_new_mail_is_pushed(
    server: MailServer, channel: MakeChannel, inbox: Any
) -> None:
    """IDLE brings mail within a second, without polling."""
    async with _receiving(channel(port=server.imap_port)):
        for number in range(1, 4):
            await server.deliver(URP, _mail(number))
            start = time.monotonic()
            await inbox.wait_for(number)

            assert time.monotonic() - start < 1


async def test_mail_that_comes_with_another_answer_is_not_missed(
    server: MailServer,
    channel: MakeChannel,
    inbox: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library drops what the server tells of it: we ask once more before IDLE."""
    real, coming = Mailbox.count_larger, [2]

    async def late(mailbox: Mailbox, octets: int) -> int:
        if coming:
            await server.deliver(URP, _mail(coming.pop()))
        return await real(mailbox, octets)

    monkeypatch.setattr(Mailbox, "count_larger", late)
    await server.deliver(URP, _mail(1))
    async with _receiving(channel(port=server.imap_port)):
        await inbox.wait_for(2)


async def test_collected_mail_is_moved_after_it_is_stored(
    server: MailServer, channel: MakeChannel, inbox: Any, state: Any, until: Until
) -> None:
    """The folder is empty afterwards, the folder for what is done is not."""
    posta = channel(port=server.imap_port, done_folder="Fatto")
    await server.deliver(URP, _mail(1))
    async with _receiving(posta):
        await until(lambda: bool(state.cursors))

    assert await _uids(posta) == []
    assert await _uids(posta, "Fatto") == [101]
    assert len(inbox.originals) == 1


async def test_nothing_is_moved_before_it_is_stored(
    server: MailServer, channel: MakeChannel, inbox: Any
) -> None:
    """If the store is away, mail stays where it is and comes in later."""
    posta = channel(port=server.imap_port, done_folder="Fatto")
    await server.deliver(URP, _mail(1))
    inbox.failures = 1
    with pytest.raises(StoreUnavailable):
        await posta.followers[0].follow()

    assert await _uids(posta) == [101]
    async with _receiving(posta):
        await inbox.wait_for(1)


async def test_crash_between_store_and_move_gives_one_message(  # noqa: PLR0917 (fixtures)
    server: MailServer,
    channel: MakeChannel,
    inbox: Any,
    monkeypatch: Any,
    state: Any,
    until: Until,
) -> None:
    """The same external id comes again, and the gateway knows it."""
    posta = channel(port=server.imap_port, done_folder="Fatto")
    await server.deliver(URP, _mail(1))
    with monkeypatch.context() as patch:
        patch.setattr("gateway_email.imap.Mailbox.mark_done", _die)
        with pytest.raises(MailboxError, match="killed"):
            await posta.followers[0].follow()
    async with _receiving(posta):
        await until(lambda: bool(state.cursors))

    assert inbox.calls == 2
    assert len(inbox.items) == 1
    assert await _uids(posta) == []


async def _die(*_: object) -> None:
    code = "killed"
    raise MailboxError(code, "by the test")


async def test_crash_between_move_and_cursor_gives_one_message(
    server: MailServer, channel: MakeChannel, inbox: Any, state: Any
) -> None:
    """A cursor that was not written costs nothing but another look."""
    posta = channel(port=server.imap_port)
    await server.deliver(URP, _mail(1))
    state.failures = 1
    with pytest.raises(StoreUnavailable):
        await posta.followers[0].follow()
    await server.deliver(URP, _mail(2))
    async with _receiving(posta):
        await inbox.wait_for(2)

    assert [_mail(1), _mail(2)] == list(inbox.originals.values())


async def test_restart_begins_after_the_cursor(
    server: MailServer, channel: MakeChannel, inbox: Any, state: Any, until: Until
) -> None:
    """What was done before a restart is not fetched again."""
    posta = channel(port=server.imap_port)
    await server.deliver(URP, _mail(1))
    async with _receiving(posta):
        await until(lambda: bool(state.cursors))
    await server.deliver(URP, _mail(2))
    async with _receiving(posta):
        await inbox.wait_for(2)

    assert inbox.calls == 2


async def test_renumbered_folder_is_read_again(
    server: MailServer, channel: MakeChannel, inbox: Any, state: Any
) -> None:
    """Another UIDVALIDITY makes the cursor void: nothing is missed."""
    key = f"imap:posta:{URP}/INBOX"
    await state.put(key, {"uid_validity": 1, "uid": 5_000})
    await server.deliver(URP, _mail(1))
    async with _receiving(channel(port=server.imap_port)):
        await inbox.wait_for(1)

    assert len(inbox.items) == 1


async def test_more_mail_than_a_batch_comes_in_order(
    server: MailServer, channel: MakeChannel, inbox: Any
) -> None:
    """A full mailbox is taken in oldest first."""
    for number in range(120):
        await server.deliver(URP, _mail(number))
    async with _receiving(channel(port=server.imap_port)):
        await inbox.wait_for(120)

    assert [_mail(number) for number in range(120)] == list(inbox.originals.values())


async def test_too_large_mail_stays_visible_and_blocks_nothing(
    server: MailServer, channel: MakeChannel, inbox: Any, until: Until
) -> None:
    """It is left in the folder, the health says so, the next mail comes in."""
    posta = channel(port=server.imap_port, max_bytes=1_000, done_folder="Fatto")
    await server.deliver(URP, _mail(1) + b"x" * 2_000)
    await server.deliver(URP, _mail(2))
    async with _receiving(posta):
        await inbox.wait_for(1)
        await until(lambda: posta.health().status is HealthStatus.DEGRADED)

    assert "1 mail(s) over max_bytes left in the folder" in posta.health().text
    assert [_mail(2)] == list(inbox.originals.values())
    assert await _uids(posta) == [101]


async def test_health_knows_the_last_sign_of_life(
    server: MailServer, channel: MakeChannel, until: Until
) -> None:
    """Down before the first connection, then its age."""
    posta = channel(port=server.imap_port)

    assert posta.health().status is HealthStatus.DOWN
    async with _receiving(posta):
        await until(lambda: posta.health().status is HealthStatus.OK)

    assert posta.health().text == "INBOX: last sign of life 0 s ago"


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({}, HealthStatus.OK, ""),
        ({"password": "falsa"}, HealthStatus.DOWN, "imap_login"),
        (
            {"folders": ["Niente", "inbox"]},
            HealthStatus.DOWN,
            "no folder Niente on the server; there are: INBOX",
        ),
        ({"smtp_port": 1}, HealthStatus.DOWN, "smtp_unreachable"),
        ({"security": "tls"}, HealthStatus.DOWN, "imap_broken: connect failed"),
        ({"port": 1}, HealthStatus.DOWN, "imap_broken: connect failed"),
    ],
)
async def test_check_logs_in_and_selects(
    server: MailServer,
    channel: MakeChannel,
    changes: dict[str, Any],
    status: HealthStatus,
    text: str,
) -> None:
    """A wrong password, folder, port or protection is named before the start."""
    ports = {"port": server.imap_port, "smtp_port": server.smtp_port}
    health = await channel(**{**ports, **changes}).check()

    assert status is health.status
    assert text in health.text


@pytest.fixture
def outgoing() -> Outgoing:
    """An answer to a citizen."""
    return Outgoing(
        delivery_id=DeliveryId("0198f2a4-7c1e-7b3a-9d55-0123456789ab"),
        attempt=1,
        created_at=datetime(2026, 3, 29, tzinfo=UTC),
        to=Address("mailto", "rifiuti@comune.test"),
        text="Fatto.",
        quote="<m1@example.it>",
    )


async def test_citizen_gets_the_answer_by_mail(
    server: MailServer,
    channel: MakeChannel,
    context: Callable[..., Context[EmailSettings]],
    outgoing: Outgoing,
    inbox: Any,
) -> None:
    """What is sent arrives, and the receipt bears its Message-ID."""
    citizen = channel(port=server.imap_port, username="rifiuti@comune.test")
    sending = EmailChannel(citizen.id, citizen.config, context(port=server.smtp_port))
    async with _receiving(citizen):
        receipt = await sending.send(outgoing)
        await inbox.wait_for(1)

    [raw] = inbox.originals.values()
    assert receipt.status is ReceiptStatus.SENT
    assert f"Message-ID: {receipt.external_id}".encode() in raw
    assert b"In-Reply-To: <m1@example.it>" in raw


async def test_citizen_gets_the_offices_file(  # noqa: PLR0917 (fixtures)
    server: MailServer,
    channel: MakeChannel,
    context: Callable[..., Context[EmailSettings]],
    outgoing: Outgoing,
    inbox: Any,
    tmp_path: Path,
) -> None:
    """Mail carries files of any type, beside both forms of the text."""
    (tmp_path / "file").write_bytes(b"abc")
    file = Enclosure(
        name="permesso.p7m",
        media_type="application/pkcs7-mime",
        size=3,
        sha256="ab" * 32,
        path=tmp_path / "file",
    )
    citizen = channel(port=server.imap_port, username="rifiuti@comune.test")
    sending = EmailChannel(citizen.id, citizen.config, context(port=server.smtp_port))
    async with _receiving(citizen):
        await sending.send(replace(outgoing, enclosures=(file,)))
        await inbox.wait_for(1)

    [raw] = inbox.originals.values()
    mail = BytesParser(policy=policy.default).parsebytes(raw)
    assert sending.carries(file)
    assert ["multipart/alternative", "application/pkcs7-mime"] == [
        part.get_content_type() for part in mail.iter_parts()
    ]


async def test_stored_mail_is_parsed_and_its_attachment_streamed(
    channel: MakeChannel,
    fixture_bytes: Callable[[str], bytes],
    inbound: Callable[..., Any],
) -> None:
    """The channel reads what it stored, and streams its parts."""
    posta = channel(port=1)
    item = inbound(fixture_bytes("inbound/citizen_photo.eml"))
    photo = posta.parse(item).attachments[0]
    chunks = [chunk async for chunk in posta.fetch(item.original, photo)]

    assert photo.size == len(b"".join(chunks))
    assert b"".join(chunks).startswith(b"\xff\xd8")
