"""The connector, against the plugin's mail server and servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailConnector, EmailConnectorConfig, EmailSettings
from gateway_email.devserver import MailServer
from smtp_servers import serving

from gateway.errors import DeliveryError
from gateway.model import Address, Enclosure, Handover, HealthStatus, ServiceId
from gateway.plugin import Context

STRADE = "strade@comune.test"
OURS = "<0198f2a4-7c1e-7b3a-9d55-0123456789ab@comune.test>"
MakeContext = Callable[..., Context[EmailSettings]]
GREETING = ["220 hi", "250-hi\r\n250 SIZE", "250 OK", "250 OK", "354 go", "250 OK"]


def _connector(context: Context[EmailSettings], **section: Any) -> EmailConnector:
    config = EmailConnectorConfig.model_validate({"to": [STRADE], **section})
    return EmailConnector(ServiceId("strade"), config, context)


@asynccontextmanager
async def _scripted(replies: list[str]) -> AsyncIterator[int]:
    """Serve SMTP from a list of replies, one to each step; then hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            writer.write(f"{reply}\r\n".encode())
            end = b"\r\n.\r\n" if reply.startswith("354") else b"\r\n"
            try:
                await reader.readuntil(end)
            except asyncio.IncompleteReadError:
                break

    async with serving(serve) as port:
        yield port


async def test_office_gets_the_mail_with_its_attachment(
    server: MailServer,
    context: MakeContext,
    handover: Callable[..., Handover],
    tmp_path: Path,
) -> None:
    """The mail arrives whole; the receipt bears the Message-ID answers refer to."""
    (tmp_path / "photo").write_bytes(b"abc")
    photo = Enclosure(
        name="buca.jpg",
        media_type="image/jpeg",
        size=3,
        sha256="ab" * 32,
        path=tmp_path / "photo",
    )
    connector = _connector(context(port=server.smtp_port))
    receipt = await connector.deliver(handover(enclosures=(photo,)))

    assert receipt.external_id == OURS
    [raw] = await server.mails(STRADE)
    assert f"Message-ID: {OURS}".encode() in raw
    assert b"YWJj" in raw


async def test_login_is_used(
    server: MailServer, context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """With an account the client logs in; a wrong password is the account's fault."""
    account = {"port": server.smtp_port, "username": "urp@comune.test"}
    await _connector(context(**account, password="segreta")).deliver(handover())
    with pytest.raises(DeliveryError) as caught:
        await _connector(context(**account, password="falsa")).deliver(handover())

    assert (
        caught.value.code,
        caught.value.retryable,
        caught.value.account,
    ) == ("smtp_login", True, True)


async def test_one_refused_recipient_does_not_stop_the_others(
    server: MailServer, context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """The mail counts as sent, and the receipt says how many refused it."""
    connector = _connector(
        context(port=server.smtp_port), to=["nessuno@comune.test", STRADE]
    )
    receipt = await connector.deliver(handover())

    assert receipt.code == "smtp_partly_refused"
    assert receipt.text == "nessuno@comune.test 550, strade@comune.test taken"
    assert len(await server.mails(STRADE)) == 1


@pytest.mark.parametrize(
    ("at", "reply", "expected"),
    [
        (0, "421 busy", ("smtp_refused", True, False)),
        (0, "554 go away", ("smtp_refused", False, False)),
        (2, "451 later", ("smtp_refused", True, False)),
        (2, "552 too large", ("smtp_refused", False, False)),
        (3, "450 greylisted", ("smtp_recipients_refused", True, False)),
        (3, "550 no such user", ("smtp_recipients_refused", False, False)),
        (4, "451 later", ("smtp_data_refused", True, False)),
        (5, "452 full", ("smtp_data_refused", True, False)),
        (5, "554 spam", ("smtp_data_refused", False, False)),
    ],
)
async def test_each_refusal_is_judged(
    context: MakeContext,
    handover: Callable[..., Handover],
    at: int,
    reply: str,
    expected: tuple[str, bool, bool],
) -> None:
    """4xx may pass later, 5xx never (RFC 5321 §4.2.1), at each step."""
    replies = [*GREETING[:at], reply, *GREETING[at + 1 :]]
    async with _scripted(replies) as port:
        with pytest.raises(DeliveryError) as caught:
            await _connector(context(port=port)).deliver(handover())

    found = (caught.value.code, caught.value.retryable, caught.value.unknown)
    assert expected == found


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
async def test_connection_lost_before_the_mail_is_a_plain_failure(
    context: MakeContext, handover: Callable[..., Handover], steps: int
) -> None:
    """Nothing was sent yet: try again, without doubt."""
    async with _scripted(GREETING[:steps]) as port:
        with pytest.raises(DeliveryError) as caught:
            await _connector(context(port=port)).deliver(handover())

    assert (
        caught.value.code,
        caught.value.retryable,
        caught.value.unknown,
    ) == ("smtp_unreachable", True, False)


async def test_connection_lost_after_the_mail_is_unknown(
    context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """The reply to the final dot is lost: it may have been taken."""
    async with _scripted(GREETING[:5]) as port:
        with pytest.raises(DeliveryError) as caught:
            await _connector(context(port=port)).deliver(handover())

    assert (
        caught.value.code,
        caught.value.retryable,
        caught.value.unknown,
    ) == ("smtp_unknown", True, True)


async def test_silent_server_is_given_up(
    context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """A server that says nothing costs no more than the time-out."""

    async def say_nothing(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        del writer
        await reader.read()

    async with serving(say_nothing) as port, asyncio.timeout(5):
        with pytest.raises(DeliveryError, match="smtp_unreachable"):
            await _connector(context(port=port, timeout=0.2)).deliver(handover())


async def test_lost_file_is_a_retryable_failure(
    context: MakeContext, handover: Callable[..., Handover], tmp_path: Path
) -> None:
    """An attachment that can't be read stops the delivery, it does not vanish."""
    lost = Enclosure(
        name="a", media_type="a/b", size=1, sha256="ab" * 32, path=tmp_path / "lost"
    )
    with pytest.raises(DeliveryError, match="enclosure_unreadable"):
        await _connector(context()).deliver(handover(enclosures=(lost,)))


async def test_too_large_file_is_named_instead_of_sent(
    server: MailServer,
    context: MakeContext,
    handover: Callable[..., Handover],
    tmp_path: Path,
) -> None:
    """The office reads that there is a film it did not get."""
    film = Enclosure(
        name="film.mp4",
        media_type="video/mp4",
        size=19_000_000,
        sha256="ab" * 32,
        path=tmp_path / "never_read",
    )
    connector = _connector(context(port=server.smtp_port))
    await connector.deliver(handover(enclosures=(film,)))

    [raw] = await server.mails(STRADE)
    assert b"film.mp4 (19 MB)" in raw


def test_only_configured_senders_may_answer(context: MakeContext) -> None:
    """The office's own addresses may, or those that are configured instead."""
    by_default = _connector(context())
    configured = _connector(context(), senders=["Capo@comune.test"])

    assert by_default.may_answer(Address("mailto", STRADE))
    assert not by_default.may_answer(Address("mailto", "capo@comune.test"))
    assert configured.may_answer(Address("mailto", "capo@comune.test"))
    assert not configured.may_answer(Address("mailto", STRADE))
    assert not by_default.may_answer(Address("whatsapp", STRADE))


async def test_check_connects_and_sends_nothing(
    server: MailServer, context: MakeContext
) -> None:
    """A reachable server is healthy, an absent one is down; no mail is left."""
    reachable = context(port=server.smtp_port)
    fine = await _connector(reachable).check()
    own = await _connector(reachable, to=[reachable.config.reply_to.upper()]).check()
    absent = await _connector(context(port=1)).check()

    assert fine.status is HealthStatus.OK
    assert own.status is HealthStatus.DEGRADED
    assert "another address" in own.text
    assert absent.status is HealthStatus.DOWN
    assert "smtp_unreachable" in absent.text
    assert await server.mails(STRADE) == []
