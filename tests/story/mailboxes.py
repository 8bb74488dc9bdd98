"""Mailboxes of people, read and written as their own programs do."""

from __future__ import annotations

import asyncio
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import aiosmtplib
from gateway_email import EmailChannelConfig
from gateway_email.imap import open_mailbox

PATIENCE = 40
"""Seconds that people wait for mail."""


def words(mail: EmailMessage) -> str:
    """Return what is in a mail, as text."""
    part = mail.get_body(("plain", "html"))
    return "" if part is None else str(part.get_content())


async def read(peer: Any, account: str, *needles: str) -> EmailMessage:
    """Wait for a mail with all these words in its subject or text."""
    config = EmailChannelConfig(
        host="localhost",
        port=peer.imap_port,
        cafile=peer.cafile,
        username=account,
        password=peer.password,
    )
    async with asyncio.timeout(PATIENCE), open_mailbox(config) as mailbox:
        while True:
            await mailbox.select()
            for uid in await mailbox.uids_after(0):
                raw = (await mailbox.fetch([uid], 0)).get(uid, b"")
                mail = BytesParser(policy=policy.default).parsebytes(raw)
                said = f"{mail['Subject']}\n{words(mail)}"
                if all(needle in said for needle in needles):
                    return mail
            await asyncio.sleep(0.2)


async def write(peer: Any, mail: EmailMessage, account: str = "") -> None:
    """Send a mail: as ``account``, which logs in, or as a stranger to the MX."""
    if not account:
        await aiosmtplib.send(
            mail, hostname="localhost", port=peer.smtp_port, start_tls=False
        )
        return
    await aiosmtplib.send(
        mail,
        hostname="localhost",
        port=peer.submission_tls_port,
        username=account,
        password=peer.password,
        use_tls=True,
        cert_bundle=str(peer.cafile),
    )
