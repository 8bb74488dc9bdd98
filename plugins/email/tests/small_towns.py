"""Whole gateways at uno.test and due.test, each with one mailbox, on the peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from gateway_email import EmailPlugin
from sqlalchemy import Connection

from gateway.app import Gateway
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
{channel}
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
{services}
"""


def town(
    peer: Any,
    folder: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    channel: str = "",
    services: str = "",
) -> AbstractAsyncContextManager[Gateway]:
    """Run the gateway of ``name``.test; more keys of its channel, more services."""
    monkeypatch.setenv("PEER_PASSWORD", peer.password)
    monkeypatch.setenv("PEER_KEY", "0123456789abcdef")
    folder.mkdir(exist_ok=True)
    toml = TOML.format(
        name=name, data=folder, peer=peer, channel=channel, services=services
    )
    return running(toml, folder, {"email": EmailPlugin()})


async def rows_of(gateway: Gateway, table: Any) -> list[Any]:
    """Return the rows of a table."""

    def work(connection: Connection) -> list[Any]:
        return list(connection.execute(table.select()))

    return await gateway.store.read(work)


async def until(
    gateway: Gateway,
    table: Any,
    fulfilled: Callable[[list[Any]], bool],
    seconds: float = 30,
) -> list[Any]:
    """Wait until the rows of a table are as wanted; return them."""
    async with asyncio.timeout(seconds):
        while not fulfilled(found := await rows_of(gateway, table)):
            await asyncio.sleep(0.1)
    return found


async def hand_in(peer: Any, mail: EmailMessage) -> None:
    """Bring a mail as a stranger does, to the MX."""
    await aiosmtplib.send(
        mail, hostname=peer.host, port=peer.smtp_port, start_tls=False
    )


async def write(peer: Any, sender: str, recipient: str, **fields: str) -> None:
    """Write as a person does; the fields may say otherwise."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, "Buca in via Roma"
    for name, value in fields.items():
        mail[name.replace("_", "-")] = value
    mail.set_content("C'è una buca.")
    await hand_in(peer, mail)
