"""A mailbox on Dovecot, and what collects from it: ours, and aioimaplib alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import aiohttp
import structlog
from aioimaplib import aioimaplib
from gateway_email import EmailChannel, EmailChannelConfig, EmailSettings
from processes import ROOT

from gateway import audit
from gateway.clock import SystemClock
from gateway.inbox import DiskGate, Inbox
from gateway.model import ChannelId, Item
from gateway.plugin import Context
from gateway.state import StoredState
from gateway.store import open_store
from gateway.store.migrate import upgrade
from gateway.testing.kit import MemoryCases, MemoryFiles

USER, PASSWORD = "urp@comune.test", "segreta"
BATCH = 20
"""Mails in one FETCH: with more, and with fewer, the library is slower."""


class Dovecot:
    """A running server; new folders are filled behind its back, which is quick."""

    def __init__(self, folder: Path, port: int) -> None:
        """Know where it is."""
        self.port = port
        self._mail = folder / "mail" / USER

    async def fill(self, mails: Iterator[bytes]) -> str:
        """Make a folder with these mails; return its name."""
        name = f"Bench-{uuid4().hex}"
        async with self.client() as client:
            await client.create(name)
            await asyncio.to_thread(self._write, self._mail / f".{name}" / "new", mails)
            await client.select(name)  # the server numbers them now
        return name

    def _write(self, folder: Path, mails: Iterator[bytes]) -> None:
        owner = folder.stat()
        for number, mail in enumerate(mails):
            path = folder / f"{1_700_000_000 + number}.M0P1.bench,S={len(mail)}"
            path.write_bytes(mail)
            os.chown(path, owner.st_uid, owner.st_gid)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[aioimaplib.IMAP4]:
        """Log in."""
        client = aioimaplib.IMAP4("127.0.0.1", self.port)
        await client.wait_hello_from_server()
        await client.login(USER, PASSWORD)
        yield client
        await client.logout()


@contextlib.contextmanager
def dovecot() -> Iterator[Dovecot]:
    """Start the mail server of the tests."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-mail-"))
    script = ROOT / "scripts" / "peers" / "mail.sh"
    # It needs seven: below those that the kernel gives to outgoing connections.
    port = random.randrange(20_000, 32_000, 10)
    try:
        subprocess.run([script, "start", folder, str(port)], check=True)
        yield Dovecot(folder, port)
    finally:
        subprocess.run([script, "stop", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


class Collecting:
    """Our channel, on a store of its own, without what comes after the inbox."""

    def __init__(self) -> None:
        """Count what is stored."""
        self.stored = 0
        self.on_stored: Callable[[], None] = lambda: None
        self._accept_each: Callable[..., Awaitable[int]]

    async def accept_each(
        self, channel: ChannelId, originals: Sequence[tuple[bytes, Item]]
    ) -> int:
        """Store, then count."""
        new = await self._accept_each(channel, originals)
        self.stored += len(originals)
        self.on_stored()
        return new

    @contextlib.asynccontextmanager
    async def running(self, port: int, folder: str) -> AsyncIterator[None]:
        """Collect from a folder for as long as the block lasts."""
        place = Path(tempfile.mkdtemp(prefix="gateway-bench-store-"))
        url, clock = f"sqlite:///{place}/gateway.db", SystemClock()
        upgrade(url)
        store = open_store(url, clock, seal=audit.seal, exclusive=True)
        inbox = Inbox(store, DiskGate(place, 0, clock), lambda _: None)
        self._accept_each = inbox.accept_each
        async with aiohttp.ClientSession() as http:
            context = Context(
                config=_settings(),
                http=http,
                inbox=self,
                files=MemoryFiles(),
                cases=MemoryCases(),
                state=StoredState(store, "email"),
                clock=clock,
                log=structlog.get_logger(),
            )
            channel = EmailChannel(ChannelId("posta"), _config(port, folder), context)
            task = asyncio.create_task(channel.receive())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                store.close()
                shutil.rmtree(place)


def _settings() -> EmailSettings:
    section = {"host": "127.0.0.1", "port": 1, "security": "none", "sender": USER}
    more = {"reply_to": USER, "domain": "comune.test", "key": "0123456789abcdef"}
    return EmailSettings.model_validate({**section, **more})


def _config(port: int, folder: str) -> EmailChannelConfig:
    account = {"host": "127.0.0.1", "port": port, "security": "none"}
    login = {"username": USER, "password": PASSWORD, "folders": [folder]}
    return EmailChannelConfig.model_validate({**account, **login, "max_bytes": 2**26})


async def fetch_alone(client: aioimaplib.IMAP4, folder: str) -> int:
    """Fetch every mail with the library and nothing else; return how many came."""
    await client.select(folder)
    lines = (await client.uid_search("ALL", charset=None)).lines
    uids = lines[0].decode().split()
    count = 0
    for start in range(0, len(uids), BATCH):
        chosen = ",".join(uids[start : start + BATCH])
        answer = await client.uid("fetch", chosen, "(UID BODY.PEEK[])")
        count += sum(isinstance(line, bytearray) for line in answer.lines)
    return count
