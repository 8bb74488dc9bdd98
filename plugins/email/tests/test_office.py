"""An office that closes and forwards by mail, on Postfix and Dovecot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiosmtplib
from gateway_email import EmailChannelConfig
from gateway_email.imap import open_mailbox
from small_towns import hand_in, town, until

from gateway.app import Gateway
from gateway.store import schema

CHANNEL = 'authserv_id = "localhost"'
SERVICES = """
[services.strade]
name = "Ufficio Strade"
connectors = [{ type = "email", to = ["strade@comune.test"] }]
"""
OFFICE, CITIZEN = "ufficio@uno.test", "cittadino@comune.test"


async def _write(peer: Any, mail: EmailMessage, sender: str, text: str) -> None:
    """Write as a stranger does: what anybody claims."""
    mail["From"] = sender
    mail.set_content(text)
    await hand_in(peer, mail)


async def _answer(peer: Any, mail: EmailMessage, text: str) -> None:
    """Write as the office does, which logs in."""
    mail["From"] = OFFICE
    mail.set_content(text)
    await aiosmtplib.send(
        mail,
        hostname="localhost",
        port=peer.submission_tls_port,
        username=OFFICE,
        password=peer.password,
        use_tls=True,
        cert_bundle=str(peer.cafile),
    )


def _addressed(to: str, subject: str, reference: str = "") -> EmailMessage:
    mail = EmailMessage()
    mail["To"], mail["Subject"] = to, subject
    if reference:
        mail["In-Reply-To"] = reference
    return mail


async def _got(peer: Any, account: str, needle: str) -> EmailMessage:
    """Wait for the mail of an account that has ``needle`` in its subject."""
    config = EmailChannelConfig(
        host="localhost",
        port=peer.imap_port,
        cafile=peer.cafile,
        username=account,
        password=peer.password,
    )
    async with asyncio.timeout(30), open_mailbox(config) as mailbox:
        while True:
            await mailbox.select()
            for uid in await mailbox.uids_after(0):
                raw = (await mailbox.fetch([uid], 0)).get(uid, b"")
                mail = BytesParser(policy=policy.default).parsebytes(raw)
                if needle in str(mail["Subject"]):
                    await mailbox.mark_done([uid])
                    return mail
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _reported(
    peer: Any, folder: Path, monkeypatch: Any, matter: str
) -> AsyncIterator[tuple[Gateway, str, str]]:
    """A city to which a citizen has written: with the case's number and our mail."""
    running = town(peer, folder, "uno", monkeypatch, channel=CHANNEL, services=SERVICES)
    async with running as gateway:
        first = _addressed("posta@uno.test", matter)
        await _write(peer, first, CITIZEN, "In via Roma.")
        sent = await until(
            gateway,
            schema.delivery,
            lambda rows: ["sent"] * 2 == [row.state for row in rows],
        )
        ours = next(row.external_id for row in sent if row.purpose == "handover")
        (case,) = await until(gateway, schema.cases, lambda rows: len(rows) == 1)
        yield gateway, case.number, ours


async def test_office_forwards_by_mail(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Who forges the office's address does nothing, though it knows the mail's id."""
    peer, matter = mail_server, f"Buca {uuid4().hex[:12]}"
    async with _reported(peer, tmp_path, monkeypatch, matter) as (gateway, number, id_):
        forged = _addressed("posta@uno.test", f"Re: {number}", id_)
        await _write(peer, forged, OFFICE, "chiuso")
        rows = await until(gateway, schema.message, _has_held)
        held = next(row for row in rows if row.state == "held")
        assert "nothing proves that the sender is no forgery" == held.reason

        order = _addressed("posta@uno.test", f"Re: {number}", id_)
        await _answer(peer, order, "Inoltrato a Ufficio Strade.\n\nTocca a voi.\n")
        mail = await _got(peer, "strade@comune.test", matter)
        assert "In via Roma." in _text(mail)
        (case,) = await until(gateway, schema.cases, lambda rows: len(rows) == 1)
        assert ("strade", "assigned") == (case.service, case.status)


async def test_office_closes_by_mail_with_the_number_alone(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """A new mail that names the case, from an office that has logged in, closes it."""
    peer, matter = mail_server, f"Lampione {uuid4().hex[:12]}"
    async with _reported(peer, tmp_path, monkeypatch, matter) as (gateway, number, _):
        named = _addressed("posta@uno.test", f"pratica {number}: fatto")
        await _answer(peer, named, "chiuso\n\nRiparato.\n")
        await until(gateway, schema.cases, lambda rows: rows[0].status == "closed")
        await until(
            gateway,
            schema.delivery,
            lambda rows: ["sent"] * 3 == [row.state for row in rows],
        )
        rows = await until(gateway, schema.message, lambda rows: len(rows) >= 1)
        told = [row.body for row in rows if row.direction == "out"]
        assert any("Riparato." in body and "chiusa" in body for body in told)


def _has_held(rows: list[Any]) -> bool:
    return "held" in {row.state for row in rows}


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())
