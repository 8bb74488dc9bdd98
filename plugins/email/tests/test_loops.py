"""Whole gateways on Postfix and Dovecot: machines that write to machines, bounces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
from gateway_email import EmailPlugin
from sqlalchemy import Connection

from gateway.app import Gateway
from gateway.store import schema
from gateway.testing.kit import running

TOML = """
[gateway]
name = "Comune {name}"
plugins = ["email"]
default_service = "urp"
[store]
url = "sqlite:///gateway.db"
data = "{data}"
[web]
port = 0
min_free_bytes = 0
[channels.posta]
type = "email"
host = "localhost"
port = {peer.imap_port}
cafile = "{peer.cafile}"
username = "posta@{name}.test"
password = {{ env = "PEER_PASSWORD" }}
done_folder = "Acquisiti"
[plugins.email]
host = "localhost"
port = {peer.submission_tls_port}
cafile = "{peer.cafile}"
username = "posta@{name}.test"
password = {{ env = "PEER_PASSWORD" }}
sender = "posta@{name}.test"
reply_to = "posta@{name}.test"
domain = "{name}.test"
key = {{ env = "PEER_KEY" }}
[services.urp]
name = "URP"
connectors = [{{ type = "email", to = ["ufficio@{name}.test"] }}]
"""


def _running(peer: Any, folder: Path, name: str, monkeypatch: Any) -> Any:
    monkeypatch.setenv("PEER_PASSWORD", peer.password)
    monkeypatch.setenv("PEER_KEY", "0123456789abcdef")
    folder.mkdir()
    toml = TOML.format(name=name, data=folder, peer=peer)
    return running(toml, folder, {"email": EmailPlugin()})


async def _rows(gateway: Gateway, table: Any) -> list[Any]:
    def work(connection: Connection) -> list[Any]:
        return list(connection.execute(table.select()))

    return await gateway.store.read(work)


async def _write(peer: Any, sender: str, recipient: str, **fields: str) -> None:
    """Write as a person does; the fields may say otherwise."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, "Buca in via Roma"
    for name, value in fields.items():
        mail[name.replace("_", "-")] = value
    mail.set_content("C'è una buca.")
    await aiosmtplib.send(
        mail, hostname=peer.host, port=peer.smtp_port, start_tls=False
    )


async def _until(
    gateway: Gateway, table: Any, fulfilled: Callable[[list[Any]], bool]
) -> list[Any]:
    async with asyncio.timeout(30):
        while not fulfilled(rows := await _rows(gateway, table)):
            await asyncio.sleep(0.1)
    return rows


def _inbound(rows: list[Any]) -> list[str]:
    return [row.state for row in rows if row.direction == "in"]


async def test_two_gateways_fall_silent_by_themselves(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Each keeps the other's notice for staff, and answers it with nothing."""
    one = _running(mail_server, tmp_path / "one", "uno", monkeypatch)
    two = _running(mail_server, tmp_path / "two", "due", monkeypatch)
    async with one as uno, two as due:
        await _write(mail_server, "posta@due.test", "posta@uno.test")
        await _until(due, schema.message, lambda rows: _inbound(rows) == ["held"])
        await _write(mail_server, "posta@uno.test", "posta@due.test")
        both = ["held", "processed"]
        for gateway in (uno, due):
            await _until(
                gateway, schema.message, lambda rows: sorted(_inbound(rows)) == both
            )
        await asyncio.sleep(2)

        for gateway in (uno, due):
            rows = await _rows(gateway, schema.message)
            assert both == sorted(_inbound(rows))
            sent = await _rows(gateway, schema.delivery)
            assert ["handover", "notice"] == sorted(each.purpose for each in sent)
            assert [] == await _rows(gateway, schema.dead_letter)


async def test_bounce_of_postfix_fails_its_delivery(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """What Postfix took and could not deliver is shown to staff, with its code."""
    folder = tmp_path / "one"
    async with _running(mail_server, folder, "uno", monkeypatch) as uno:
        await _write(mail_server, "maria@nessuno.test", "posta@uno.test")
        rows = await _until(
            uno,
            schema.delivery,
            lambda rows: "failed" in [each.state for each in rows],
        )

        failed = [each for each in rows if each.state == "failed"]
        assert [("notice", "5.7.1")] == [(each.purpose, each.code) for each in failed]
        (letter,) = await _rows(uno, schema.dead_letter)
        assert ("5.7.1", failed[0].id) == (letter.code, letter.subject)
        assert 1 == len(_inbound(await _rows(uno, schema.message)))


async def test_out_of_office_replies_reach_nobody(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """An office's and a citizen's are held for staff, beside the case they answer."""
    folder, own = tmp_path / "one", "posta@uno.test"
    async with _running(mail_server, folder, "uno", monkeypatch) as uno:
        await _write(mail_server, "posta@due.test", own)
        sent = await _until(
            uno, schema.delivery, lambda rows: ["sent"] * 2 == [r.state for r in rows]
        )
        ids = {each.purpose: each.external_id for each in sent}
        senders = {"handover": "ufficio@uno.test", "notice": "posta@due.test"}
        for purpose, sender in senders.items():
            fields = {"In_Reply_To": ids[purpose], "Auto_Submitted": "auto-replied"}
            await _write(mail_server, sender, own, **fields)
        states = ["held", "held", "processed"]
        rows = await _until(
            uno, schema.message, lambda rows: sorted(_inbound(rows)) == states
        )

        held = [row for row in rows if row.state == "held"]
        assert {"automatic mail"} == {row.reason for row in held}
        assert ["citizen", "service"] == sorted(row.author for row in held)
        assert 2 == len(await _rows(uno, schema.delivery))
