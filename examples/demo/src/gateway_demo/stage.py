"""The stage: a simulated Cloud API, a mail server, and the real daemon between them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from gateway_email.devserver import MailServer
from gateway_whatsapp.simulator import CloudApiSimulator

from gateway_demo.narrator import Narrator

PHONE_NUMBER_ID = "106540352242922"
GATEWAY = "http://127.0.0.1:18080"
API_PORT, SMTP_PORT, IMAP_PORT = 18091, 18025, 18143
MAILBOXES = ("urp", "ufficio", "strade", "rifiuti")
DOMAIN = "comune.test"
_START_SECONDS = 30.0


class StageError(Exception):
    """The stage could not be set, or the story took a wrong turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that the story needs."""

    config: Path
    api: CloudApiSimulator
    mail: MailServer
    http: aiohttp.ClientSession

    async def command(self, *arguments: str) -> str:
        """Run ``gateway`` with ``arguments``; return what it printed.

        Raises:
            StageError: the command failed.

        """
        process = await asyncio.create_subprocess_exec(
            *_gateway(*arguments, "--config", str(self.config)),
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        if process.returncode != 0:
            raise StageError(f"gateway {' '.join(arguments)} failed")
        return printed.decode()


def _gateway(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from gateway.cli import main; main()", *arguments]


@contextlib.asynccontextmanager
async def stage(config: Path, narrator: Narrator) -> AsyncIterator[Scene]:
    """Set the stage; clear it at the end.

    Raises:
        StageError: a port is taken, or the daemon does not start.

    """
    folder = config.parents[2] / "build" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = _make_secrets(folder / "secrets")
    narrator.heading("Setting the stage")
    async with contextlib.AsyncExitStack() as stack:
        api, mail = await _peers(stack, words)
        narrator.say("gateway", f"simulated Cloud API on {api.base_url}")
        narrator.say("gateway", f"mail server: SMTP {SMTP_PORT}, IMAP {IMAP_PORT}")
        http = await stack.enter_async_context(aiohttp.ClientSession())
        daemon = await stack.enter_async_context(_daemon(config, folder))
        await _ready(http, daemon, folder / "gateway.log")
        narrator.say("gateway", f"daemon ready on {GATEWAY}")
        yield Scene(config=config, api=api, mail=mail, http=http)


def _make_secrets(folder: Path) -> dict[str, str]:
    """Write the secrets that the configuration names, for our eyes only."""
    folder.mkdir(mode=0o700)
    words = {name: secrets.token_urlsafe(24) for name in _SECRETS}
    for name, word in words.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(word)
    return words


_SECRETS = (
    "whatsapp-token",
    "whatsapp-app-secret",
    "whatsapp-verify-token",
    "mail-password",
    "reply-key",
)


async def _peers(
    stack: contextlib.AsyncExitStack, words: dict[str, str]
) -> tuple[CloudApiSimulator, MailServer]:
    api = CloudApiSimulator(
        app_secret=words["whatsapp-app-secret"],
        token=words["whatsapp-token"],
        phone_number_id=PHONE_NUMBER_ID,
        webhook_url=f"{GATEWAY}/channels/whatsapp/webhook",
        port=API_PORT,
    )
    password = words["mail-password"]
    accounts = {f"{name}@{DOMAIN}": password for name in MAILBOXES}
    mail = MailServer(accounts, smtp_port=SMTP_PORT, imap_port=IMAP_PORT)
    try:
        return (
            await stack.enter_async_context(api),
            await stack.enter_async_context(mail),
        )
    except OSError as error:
        text = f"{error.strerror}: the demo needs ports 18080, 18091, 18025 and 18143"
        raise StageError(text) from error


@contextlib.asynccontextmanager
async def _daemon(
    config: Path, folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon as a process of its own, as a municipality does."""
    with (folder / "gateway.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_gateway("run", "--config", str(config)), stderr=log
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _ready(
    http: aiohttp.ClientSession, daemon: asyncio.subprocess.Process, log: Path
) -> None:
    """Wait for our own daemon: another one may answer at its address."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while daemon.returncode is None:
                if '"ready"' in log.read_text() and await _answers(http):
                    return
                await asyncio.sleep(0.05)
    tail = log.read_text()[-2000:]
    raise StageError(f"the daemon does not start; its log:\n{tail}")


async def _answers(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get(f"{GATEWAY}/readyz") as response:
            return response.status == 200  # noqa: PLR2004 (HTTP OK)
    except aiohttp.ClientError:
        return False
