"""The whole system in normal running has nothing to complain of."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import json
import os
import re
import signal
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from uuid import uuid4

import aiohttp
import pytest
from gateway_whatsapp.simulator import CloudApiSimulator

HERE = Path(__file__).parent
PHOTO = HERE.parent / "attachments" / "data" / "exif.jpg"
WORD = "sixteen characters and more"
DELIVERED = {
    "service:strade": 3,
    "channel:whatsapp": 3,
    "channel:posta": 1,
    "service:urp": 1,
}
"""Hand-overs and notices of what the test says, by target."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Mailbox:
    """A folder of the city's mailbox, of this test's own."""

    imap: imaplib.IMAP4_SSL
    folder: str

    def receive(self, mail: Path) -> None:
        """Put a mail there, as the mail server does."""
        body = mail.read_bytes().replace(b"\n", b"\r\n")
        assert "OK" == self.imap.append(self.folder, None, None, body)[0]


@pytest.fixture
def mailbox(mail_server) -> Iterator[Mailbox]:
    """An empty folder: whatever other tests left lying about is elsewhere."""
    trusted = ssl.create_default_context(cafile=mail_server.cafile)
    with imaplib.IMAP4_SSL(
        mail_server.host, mail_server.imap_port, ssl_context=trusted
    ) as imap:
        imap.login("urp@comune.test", mail_server.password)
        folder = f"Quiet-{uuid4().hex}"
        imap.create(folder)
        yield Mailbox(imap, folder)


@pytest.fixture
async def cloud_api() -> AsyncIterator[CloudApiSimulator]:
    """Meta, simulated: its statuses come back as webhooks."""
    async with CloudApiSimulator(
        app_secret=WORD, token=WORD, phone_number_id="106540352242922"
    ) as simulator:
        yield simulator


@dataclass
class Daemon:
    """A daemon at work, and what it has written."""

    process: asyncio.subprocess.Process
    folder: Path
    url: str
    http: aiohttp.ClientSession

    async def delivered(self) -> Counter[str]:
        """Return how many deliveries of each target were sent."""
        async with self.http.get(f"{self.url}/metrics") as response:
            text = await response.text()
        sent = re.findall(
            r'^gateway_deliveries_total\{result="sent",target="(.+)"\} (\d+)',
            text,
            re.MULTILINE,
        )
        return Counter({target: int(count) for target, count in sent})

    async def stop(self) -> int | None:
        """Stop it as systemd does; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)

    def written(self, stream: str) -> str:
        return (self.folder / stream).read_text()


@pytest.fixture
async def daemon(
    migrated, mail_server, mailbox, cloud_api, tmp_path
) -> AsyncIterator[Daemon]:
    """The real daemon, on each database, ready; every warning of Python's counts."""
    port = free_port()
    text = Template((HERE / "gateway.toml").read_text()).substitute(
        database=migrated,
        port=port,
        cloud_api=cloud_api.base_url,
        imap=mail_server.imap_port,
        submission=mail_server.submission_tls_port,
        cafile=mail_server.cafile,
        folder=mailbox.folder,
    )
    (tmp_path / "gateway.toml").write_text(text)
    cloud_api.webhook_url = f"http://127.0.0.1:{port}/channels/whatsapp/webhook"
    words = {"WORD": WORD, "PASSWORD": mail_server.password}
    with (
        (tmp_path / "stdout").open("wb") as stdout,
        (tmp_path / "stderr").open("wb") as stderr,
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "default"),
            *("-c", "from gateway.cli import main; main()", "run"),
            cwd=tmp_path,
            env=os.environ | words,
            stdout=stdout,
            stderr=stderr,
        )
    async with aiohttp.ClientSession() as http:
        running = Daemon(process, tmp_path, f"http://127.0.0.1:{port}", http)
        try:
            await _ready(running)
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _ready(daemon: Daemon) -> None:
    async with asyncio.timeout(20):
        while True:
            assert daemon.process.returncode is None, daemon.written("stderr")
            with contextlib.suppress(aiohttp.ClientError):
                async with daemon.http.get(f"{daemon.url}/readyz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)


async def test_normal_running_logs_nothing_above_info(daemon, cloud_api, mailbox):
    """Start, texts, a photo, a repetition, a mail, their deliveries, SIGTERM: quiet."""
    photo = cloud_api.add_media(PHOTO.read_bytes(), "image/jpeg")
    said = [
        cloud_api.text("393331110001", "Una buca in via Dante"),
        cloud_api.text("393331110002", "A che ora aprite?"),
        cloud_api.image("393331110003", photo, "Una buca in via Roma"),
    ]
    for webhook in [*said, said[0]]:
        assert (200, "accepted\n") == await cloud_api.webhook(webhook)
    mailbox.receive(HERE / "data" / "mail.eml")

    async with asyncio.timeout(30):
        while await daemon.delivered() != DELIVERED:
            await asyncio.sleep(0.1)
        await cloud_api.settled()
    stopped = await daemon.stop()

    lines = [json.loads(line) for line in daemon.written("stderr").splitlines()]
    assert 0 == stopped
    assert "ready" in {line["event"] for line in lines}
    assert [] == [line for line in lines if line["level"] not in {"debug", "info"}]
    assert "" == daemon.written("stdout")
