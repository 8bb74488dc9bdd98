"""Several folders of a mailbox on Dovecot, each on its own connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from aioimaplib import aioimaplib
from gateway_email import EmailChannel, following
from imapclient import imap_utf7

from gateway.model import HealthStatus

MakeChannel = Callable[..., EmailChannel]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
USER = "rifiuti@comune.test"


def _mail(number: int) -> bytes:
    return f"From: a{number}@example.it\r\nSubject: {number}\r\n\r\nCiao.\r\n".encode()


@pytest.fixture
async def client(mail_server: Any) -> AsyncIterator[aioimaplib.IMAP4]:
    """Somebody else in the same mailbox."""
    made = aioimaplib.IMAP4("127.0.0.1", mail_server.imap_starttls_port)
    await made.wait_hello_from_server()
    await made.login(USER, mail_server.password)
    yield made
    await made.logout()


async def _put(client: aioimaplib.IMAP4, folder: str, number: int) -> None:
    """Make a folder if need be and put a mail into it."""
    name = '"' + imap_utf7.encode(folder).decode().replace('"', r"\"") + '"'
    await client.create(name)
    assert "OK" == (await client.append(_mail(number), name)).result


def _posta(peer: Any, make: MakeChannel, folders: list[str], **more: Any) -> Any:
    account = {
        "host": peer.host,
        "port": peer.imap_port,
        "security": "tls",
        "cafile": peer.cafile,
        "username": USER,
    }
    return make(**account, folders=folders, **more)


@asynccontextmanager
async def _receiving(channel: EmailChannel) -> AsyncIterator[None]:
    task = asyncio.create_task(channel.receive())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_each_folder_is_followed(
    mail_server: Any,
    channel: MakeChannel,
    client: aioimaplib.IMAP4,
    inbox: Any,
) -> None:
    """Mail is pushed from every one, whatever its name is written with."""
    run = uuid4().hex
    folders = [f"Ricevute-{run}", f'Città & "paesi" ☎ {run}']
    for folder in folders:
        await _put(client, folder, 1)
    async with _receiving(_posta(mail_server, channel, folders)):
        await inbox.wait_for(2)
        for folder in folders:
            await _put(client, folder, 2)
        await inbox.wait_for(4)

    places = {key.rsplit(":", 2)[0] for key in inbox.originals}
    assert {f"{USER}/{folder}" for folder in folders} == places


async def test_done_folder_may_have_any_name(
    mail_server: Any,
    channel: MakeChannel,
    client: aioimaplib.IMAP4,
    state: Any,
    until: Until,
) -> None:
    """It is made if it is missing, and mail is moved there."""
    run = uuid4().hex
    await _put(client, f"Da fare {run}", 1)
    done = f"Già acquisiti {run}"
    posta = _posta(mail_server, channel, [f"Da fare {run}"], done_folder=done)
    async with _receiving(posta):
        await until(lambda: bool(state.cursors))

    name = imap_utf7.encode(done).decode()
    status = (await client.status(f'"{name}"', "(MESSAGES)")).lines[0]
    assert status.endswith(b"(MESSAGES 1)")


async def test_a_folder_that_fails_stops_no_other(  # noqa: PLR0917 (fixtures)
    mail_server: Any,
    channel: MakeChannel,
    client: aioimaplib.IMAP4,
    inbox: Any,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The health names it; when it is there, it is followed as well."""
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.05)
    run = uuid4().hex
    good, missing = f"Posta-{run}", f"Ricevute-{run}"
    await _put(client, good, 1)
    posta = _posta(mail_server, channel, [missing, good])
    async with _receiving(posta):
        await inbox.wait_for(1)
        await until(lambda: f"{missing}: " in posta.health().text)
        await _put(client, good, 2)
        await inbox.wait_for(2)
        await until(lambda: "imap_select" in posta.health().text)
        assert posta.health().status is not HealthStatus.OK

        await _put(client, missing, 3)
        await inbox.wait_for(3)
        await until(lambda: posta.health().status is HealthStatus.OK)

    assert "imap_select" not in posta.health().text


async def test_a_server_without_idle_is_polled(
    mail_server: Any,
    channel: MakeChannel,
    client: aioimaplib.IMAP4,
    inbox: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New mail comes after `idle_seconds` at the latest."""
    folder = f"Posta-{uuid4().hex}"
    await _put(client, folder, 1)
    posta = _posta(mail_server, channel, [folder], idle_seconds=0.2)
    real = aioimaplib.IMAP4.has_capability
    monkeypatch.setattr(
        aioimaplib.IMAP4,
        "has_capability",
        lambda self, name: name != "IDLE" and real(self, name),
    )
    async with _receiving(posta):
        await inbox.wait_for(1)
        await _put(client, folder, 2)
        await inbox.wait_for(2)

    assert posta.health().status is HealthStatus.OK
