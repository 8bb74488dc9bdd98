"""Where crashes are staged: a daemon, its clients, its sink, and the judge.

The daemon has a plain channel and a keyed sink (`probe_plugin`). Clients send, and
retry what was not acknowledged, as providers do. The judge holds the outside ledger
against the database and what the sink saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from aiohttp import web
from ledger import Ledger

from gateway.testing import forked

HERE = Path(__file__).parent
SECRET = b"crash-test"
CASES = """
    SELECT case_id, external_id FROM message
     WHERE direction = 'in' AND case_id IS NOT NULL
"""
CONFIG = """
[gateway]
name = "Crash"
plugins = ["probe_plugin.py:ProbePlugin"]
default_service = "urp"

[store]
url = "{url}"

[web]
port = {port}
min_free_bytes = 0

[outbox]
backoff_seconds = 0.2
backoff_cap_seconds = 1
lease_seconds = 4

[pipeline]
poll_seconds = 0.2
max_crashes = 1000

[log]
level = "error"

[channels.probe]
type = "probe"
secret = "{secret}"
sink = "http://127.0.0.1:{sink}/citizen"

[services.urp]
name = "URP"
connectors = [
  {{ type = "closed" }},
  {{ type = "sink", url = "http://127.0.0.1:{sink}/office" }},
]
"""


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Site:
    """Where one run takes place."""

    folder: Path
    port: int
    ledger: Ledger
    environment: dict[str, str]
    database: str

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database, past the daemon."""
        if self.database.startswith("postgresql"):
            with psycopg.connect(self.database) as connection:
                return connection.execute(statement.encode()).fetchall()
        with sqlite3.connect(self.folder / "data" / "gateway.db") as database:
            return database.execute(statement).fetchall()

    def start(self) -> forked.Command:
        """Start a daemon, with failpoints if the environment arms them."""
        return forked.Command(self.folder, "run", environment=self.environment)

    @property
    def url(self) -> str:
        """Return the daemon's address."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def site(
    environment: dict[str, str], url: str = "sqlite:///gateway.db"
) -> AsyncIterator[Site]:
    """Make a folder, a configuration on the database ``url``, and the sink."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-crash-"))
    ledger = Ledger(folder / "ledger.jsonl")
    port, sink = free_port(), free_port()
    shutil.copy(HERE / "probe_plugin.py", folder)
    text = CONFIG.format(port=port, sink=sink, secret=SECRET.decode(), url=url)
    (folder / "gateway.toml").write_text(text)
    runner = await _serve_sink(ledger, sink)
    try:
        yield Site(folder, port, ledger, environment, url)
    finally:
        await runner.cleanup()
        shutil.rmtree(folder)


async def _serve_sink(ledger: Ledger, port: int) -> web.AppRunner:
    """Serve a target that takes idempotency keys, and remembers every attempt."""

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        target = request.match_info["target"]
        message = body["id"] if target == "office" else body["quote"]
        ledger.note_attempt(target, request.headers["Idempotency-Key"], message)
        for digest in body.get("files", ()):
            ledger.files[message] = digest
        return web.Response()

    app = web.Application()
    app.router.add_post("/{target}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


class Client:
    """Sends messages, each until it is acknowledged, as a provider does."""

    def __init__(self, place: Site, number: int, limit: int | None = None) -> None:
        """Send under a name of its own, ``limit`` messages at most."""
        self._limit = limit
        self._site = place
        self._name = f"client{number}"
        self._count = 0
        self.stopping = False

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Send until told to stop; the last message is sent until it is taken."""
        while not self.stopping and self._count != self._limit:
            self._count += 1
            message = f"{self._name}-{self._count}"
            self._site.ledger.note_sent(message)
            while not await self._send(session, message):
                await asyncio.sleep(0.02)

    async def _send(self, session: aiohttp.ClientSession, message: str) -> bool:
        sender = f"{self._name}-{self._count % 5}"
        said = {"id": message, "from": sender, "text": "ciao"}
        if self._count % 3 == 0:
            said["file"] = f"attached to {message}"
        body = json.dumps(said).encode()
        digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={digest}"}
        url = f"{self._site.url}/channels/probe/webhook"
        try:
            async with session.post(url, data=body, headers=headers) as response:
                if response.status == 200:
                    self._site.ledger.note_acknowledged(message)
                    return True
        except (aiohttp.ClientError, TimeoutError):
            pass
        return False


async def wait_ready(
    session: aiohttp.ClientSession,
    place: Site,
    daemon: forked.Command,
) -> float:
    """Wait until the daemon answers, or is dead; return the seconds it took."""
    started = time.monotonic()
    async with asyncio.timeout(30):
        while daemon.poll() is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{place.url}/healthz") as response:
                    if response.status == 200:
                        return time.monotonic() - started
            await asyncio.sleep(0.02)
    return time.monotonic() - started


async def drain(session: aiohttp.ClientSession, place: Site) -> None:
    """Wait until no work is open."""
    async with asyncio.timeout(120):
        while True:
            async with session.get(f"{place.url}/readyz") as response:
                state = await response.json()
            if not any(queue["open"] for queue in state["queues"].values()):
                return
            await asyncio.sleep(0.2)


def judge(place: Site) -> list[str]:
    """Hold the ledger against the database; return what is broken."""
    ledger = place.ledger
    stored = [row[0] for row in place.query("SELECT external_id FROM inbox")]
    broken = []
    if lost := ledger.acknowledged - set(stored):
        broken.append(f"I1: {len(lost)} acknowledged messages lost: {sorted(lost)[:3]}")
    if len(stored) != len(set(stored)):
        broken.append(f"I2: {len(stored) - len(set(stored))} duplicate rows")
    if alien := set(stored) - ledger.sent:
        broken.append(f"I6: {len(alien)} rows nobody sent")
    broken += judge_office(ledger, set(stored))
    broken += judge_citizen(ledger, place.query(CASES))
    broken += _judge_files(place, set(stored))
    if place.database.startswith("sqlite"):
        ((integrity,),) = place.query("PRAGMA integrity_check")
        if integrity != "ok":
            broken.append(f"I8: integrity_check says {integrity}")
    return broken + _judge_record(place)


def judge_office(ledger: Ledger, stored: set[str]) -> list[str]:
    """Check that each message reached the office, once."""
    reached = _reached(ledger, "office")
    broken = []
    if missing := stored - set(reached):
        broken.append(f"I4: {len(missing)} messages never reached the office")
    if doubled := [m for m, n in reached.items() if n > 1]:
        broken.append(f"I5: {len(doubled)} messages took effect twice at the office")
    return broken


def judge_citizen(ledger: Ledger, filed: list[tuple[Any, ...]]) -> list[str]:
    """Check that the citizen was told the number of each case, once.

    Which of a case's messages opened it is left open: one that failed at first may
    be overtaken by the sender's next.
    """
    reached = _reached(ledger, "citizen")
    told = dict.fromkeys((case for case, _ in filed), 0)
    for case, message in filed:
        told[case] += reached.get(message, 0)
    broken = []
    if untold := [case for case, times in told.items() if times == 0]:
        broken.append(f"I4: {len(untold)} cases of which the citizen was never told")
    if doubled := [case for case, times in told.items() if times > 1]:
        broken.append(f"I5: {len(doubled)} cases of which the citizen was told twice")
    return broken


def _reached(ledger: Ledger, target: str) -> dict[str, int]:
    """Return how often each message took effect at ``target``."""
    return {m: n for (t, m), n in ledger.by_message.items() if t == target}


def _judge_files(place: Site, stored: set[str]) -> list[str]:
    """I3: what the office got is, byte for byte, what the citizen sent."""
    broken = []
    for message in stored:
        if int(message.rsplit("-", 1)[1]) % 3 == 0:
            expected = hashlib.sha256(f"attached to {message}".encode()).hexdigest()
            if place.ledger.files.get(message) != expected:
                broken.append(f"I3: the office did not get the file of {message}")
    return broken


def _judge_record(place: Site) -> list[str]:
    """Check numbers and audit trail."""
    broken = []
    numbers = [row[0] for row in place.query("SELECT number FROM cases")]
    ordinals = sorted(int(number.rsplit("-", 1)[1]) for number in numbers)
    if ordinals != list(range(1, len(ordinals) + 1)):
        broken.append("I4: case numbers have gaps or doubles")
    verified = forked.run(place.folder, "audit", "verify")
    if verified.returncode != 0:
        broken.append(f"I7: {verified.stdout}{verified.stderr}")
    return broken
