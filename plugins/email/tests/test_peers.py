"""Connector and channel against Dovecot and Postfix."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any
from uuid import uuid4

import aiosmtplib
import pytest
from gateway_email import (
    EmailChannel,
    EmailConnector,
    EmailConnectorConfig,
    EmailSettings,
)
from gateway_email.imap import open_mailbox

from gateway.errors import DeliveryError
from gateway.model import DeliveryId, Handover, HealthStatus, ServiceId
from gateway.plugin import Context

Until = Callable[[Callable[[], bool]], Awaitable[None]]
MakeChannel = Callable[..., EmailChannel]
MakeContext = Callable[..., Context[EmailSettings]]


@asynccontextmanager
async def _receiving(channel: EmailChannel) -> AsyncIterator[None]:
    task = asyncio.create_task(channel.receive())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _mailbox(
    peer: Any, make: MakeChannel, account: str, **changes: Any
) -> EmailChannel:
    return make(
        host=peer.host,
        port=peer.imap_port,
        security="tls",
        cafile=peer.cafile,
        username=account,
        password=peer.password,
        done_folder=f"Fatto-{uuid4().hex}",
        **changes,
    )


def _connector(peer: Any, make: MakeContext, **changes: Any) -> EmailConnector:
    account = {
        "host": peer.host,
        "port": peer.submission_tls_port,
        "security": "tls",
        "cafile": peer.cafile,
        "username": "urp@comune.test",
        "password": peer.password,
    }
    config = EmailConnectorConfig(to=["strade@comune.test"])
    return EmailConnector(ServiceId("strade"), config, make(**{**account, **changes}))


async def _find(inbox: Any, needle: str) -> bytes:
    """Wait until a mail that contains ``needle`` is stored."""
    async with asyncio.timeout(20):
        while True:
            for raw in list(inbox.originals.values()):
                if needle.encode() in raw:
                    return bytes(raw)
            inbox.news.clear()
            await inbox.news.wait()


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_office_answers_the_mail_it_got(  # noqa: PLR0917 (fixtures)
    mail_server: Any,
    context: MakeContext,
    channel: MakeChannel,
    handover: Callable[..., Handover],
    inbound: Callable[..., Any],
    inbox: Any,
    security: str,
) -> None:
    """An answer to the Reply-To address refers to our delivery, headers or not."""
    port = {
        "tls": mail_server.submission_tls_port,
        "starttls": mail_server.submission_port,
    }[security]
    sending = _connector(mail_server, context, port=port, security=security)
    delivery = DeliveryId(str(uuid4()))
    async with _receiving(_mailbox(mail_server, channel, "strade@comune.test")):
        receipt = await sending.deliver(handover(delivery_id=delivery))
        raw = await _find(inbox, receipt.external_id)
    got = BytesParser(policy=policy.default).parsebytes(raw)
    urp = _mailbox(mail_server, channel, "urp@comune.test")
    async with _receiving(urp):
        await _answer(mail_server, got)
        answer = await _find(inbox, f"Fatto per {receipt.external_id}")

    assert f"<{delivery}@comune.test>" == receipt.external_id
    assert (receipt.external_id,) == urp.parse(inbound(answer)).references


async def _answer(peer: Any, got: EmailMessage) -> None:
    """Answer as a client does that keeps no threading headers."""
    mail = EmailMessage()
    mail["From"] = "strade@comune.test"
    mail["To"] = got["Reply-To"]
    mail["Subject"] = "Re: " + got["Subject"]
    mail.set_content(f"Fatto per {got['Message-ID']}")
    await aiosmtplib.send(
        mail, hostname=peer.host, port=peer.smtp_port, start_tls=False
    )


async def test_idle_brings_mail_soon(
    mail_server: Any, channel: MakeChannel, inbox: Any, until: Until
) -> None:
    """Dovecot's push (half a second by its own delay) is followed at once."""
    posta = _mailbox(mail_server, channel, "rifiuti@comune.test")
    async with _receiving(posta):
        await until(lambda: posta.health().status is HealthStatus.OK)
        for _ in range(3):
            needle = uuid4().hex
            mail = EmailMessage()
            mail["From"] = "a@example.it"
            mail["To"] = "rifiuti@comune.test"
            mail.set_content(needle)
            await aiosmtplib.send(
                mail,
                hostname=mail_server.host,
                port=mail_server.smtp_port,
                start_tls=False,
            )
            start = time.monotonic()
            await _find(inbox, needle)

            assert time.monotonic() - start < 5


async def test_collected_mail_is_in_the_other_folder(
    mail_server: Any, channel: MakeChannel, inbox: Any
) -> None:
    """UID MOVE happens after the store has it; the folder is made on the way."""
    posta = _mailbox(mail_server, channel, "rifiuti@comune.test")
    needle = uuid4().hex
    async with _receiving(posta):
        await aiosmtplib.send(
            f"From: a@example.it\r\nSubject: {needle}\r\n\r\nCiao.\r\n",
            sender="a@example.it",
            recipients=["rifiuti@comune.test"],
            hostname=mail_server.host,
            port=mail_server.smtp_port,
            start_tls=False,
        )
        await _find(inbox, needle)
        # A cursor may be there already: other tests have left mail in the folder.
        async with (
            asyncio.timeout(20),
            open_mailbox(posta.config, "INBOX") as mailbox,
        ):
            while await mailbox.uids_after(0):
                await asyncio.sleep(0.05)
                await mailbox.select()
    async with open_mailbox(posta.config, str(posta.config.done_folder)) as mailbox:
        assert len(inbox.items) == len(await mailbox.uids_after(0))


async def test_postfix_takes_it_once_for_each(  # noqa: PLR0917 (fixtures)
    mail_server: Any,
    context: MakeContext,
    channel: MakeChannel,
    handover: Callable[..., Handover],
    inbox: Any,
    state: Any,
) -> None:
    """With one put off (450) and one unknown (550), the third has one mail."""
    sending = _connector(mail_server, context)
    others = ["dopo@comune.test", "nessuno@comune.test"]
    sending.config = EmailConnectorConfig(to=["strade@comune.test", *others])
    delivery = DeliveryId(str(uuid4()))
    told = []
    for _ in range(3):
        with pytest.raises(DeliveryError) as caught:
            await sending.deliver(handover(delivery_id=delivery))
        told.append((caught.value.text, caught.value.retryable))
    strade = _mailbox(mail_server, channel, "strade@comune.test")
    async with _receiving(strade):
        await _find(inbox, f"<{delivery}@comune.test>")

    text = (
        "not taken by all: strade@comune.test taken, dopo@comune.test 450,"
        " nessuno@comune.test 550"
    )
    assert [(text, True)] * 3 == told
    assert 1 == sum(delivery.encode() in raw for raw in inbox.originals.values())


async def test_certificate_is_checked(
    mail_server: Any, channel: MakeChannel, context: MakeContext
) -> None:
    """A server whose certificate is not trusted gets no password."""
    reads = _mailbox(mail_server, channel, "urp@comune.test")
    writes = _connector(mail_server, context).context
    posta = EmailChannel(reads.id, reads.config, writes)
    distrusting = EmailChannel(
        posta.id,
        posta.config.model_copy(update={"cafile": None}),
        posta.context,
    )

    assert HealthStatus.OK is (await posta.check()).status
    assert HealthStatus.DOWN is (await distrusting.check()).status
    assert HealthStatus.OK is (await _connector(mail_server, context).check()).status
    unknown = _connector(mail_server, context, cafile=None)
    assert "smtp_unreachable" in (await unknown.check()).text


async def test_wrong_password_is_the_accounts_fault(
    mail_server: Any, context: MakeContext, handover: Callable[..., Handover]
) -> None:
    """Postfix refuses the login; the message may go once the password is right."""
    sending = _connector(mail_server, context, password="falsa")
    with pytest.raises(DeliveryError) as caught:
        await sending.deliver(handover())

    assert (
        caught.value.code,
        caught.value.retryable,
        caught.value.account,
    ) == ("smtp_login", True, True)
