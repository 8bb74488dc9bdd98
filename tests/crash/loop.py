"""kill -9 under load, again and again: ``loop.py --cycles 100``.

A daemon with a plain channel and a keyed sink is killed at random moments while
clients send, and retry what was not acknowledged. After every kill it is started again;
at the end it drains, and the outside ledger is held against database and sink. Exit
code 1 if an invariant is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from ledger import Ledger  # noqa: E402 (a script beside its module)

SECRET = b"crash-test"
CLIENTS = 8
FIRST_OF_CASE = """
    SELECT external_id FROM message
     WHERE id IN (SELECT min(id) FROM message WHERE direction = 'in' GROUP BY case_id)
"""
CONFIG = """
[gateway]
name = "Crash"
plugins = ["probe_plugin.py:ProbePlugin"]
default_service = "urp"

[store]
url = {url}

[web]
port = {port}
min_free_bytes = 0

[outbox]
backoff_seconds = 0.2
backoff_cap_seconds = 1

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
connectors = [{{ type = "sink", url = "http://127.0.0.1:{sink}/office" }}]
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

    def start(self) -> subprocess.Popen[bytes]:
        """Start a daemon, with failpoints if the environment arms them."""
        command = ["-m", "gateway.testing.daemon", "run", "--config", "gateway.toml"]
        return subprocess.Popen(
            [sys.executable, *command], cwd=self.folder, env=self.environment
        )

    @property
    def url(self) -> str:
        """Return the daemon's address."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def site(environment: dict[str, str]) -> AsyncIterator[Site]:
    """Make a folder, a configuration and the sink."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-crash-"))
    ledger = Ledger(folder / "ledger.jsonl")
    port, sink = free_port(), free_port()
    shutil.copy(HERE / "probe_plugin.py", folder)
    text = CONFIG.format(
        port=port, sink=sink, secret=SECRET.decode(), url='"sqlite:///gateway.db"'
    )
    (folder / "gateway.toml").write_text(text)
    runner = await _serve_sink(ledger, sink)
    try:
        yield Site(folder, port, ledger, environment)
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
        return web.Response()

    app = web.Application()
    app.router.add_post("/{target}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


class Client:
    """Sends messages, each until it is acknowledged, as a provider does."""

    def __init__(self, place: Site, number: int) -> None:
        """Send under a name of its own."""
        self._site = place
        self._name = f"client{number}"
        self._count = 0
        self.stopping = False

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Send until told to stop; the last message is sent until it is taken."""
        while not self.stopping:
            self._count += 1
            message = f"{self._name}-{self._count}"
            self._site.ledger.note_sent(message)
            while not await self._send(session, message):
                await asyncio.sleep(0.02)

    async def _send(self, session: aiohttp.ClientSession, message: str) -> bool:
        sender = f"{self._name}-{self._count % 5}"
        body = json.dumps({"id": message, "from": sender, "text": "ciao"}).encode()
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


async def wait_ready(session: aiohttp.ClientSession, place: Site) -> float:
    """Wait until the daemon answers; return how long it took, in seconds."""
    started = time.monotonic()
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{place.url}/healthz") as response:
                    if response.status == 200:
                        return time.monotonic() - started
            await asyncio.sleep(0.02)


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
    database = sqlite3.connect(place.folder / "data" / "gateway.db")
    stored = [row[0] for row in database.execute("SELECT external_id FROM inbox")]
    broken = []
    if lost := ledger.acknowledged - set(stored):
        broken.append(f"I1: {len(lost)} acknowledged messages lost: {sorted(lost)[:3]}")
    if len(stored) != len(set(stored)):
        broken.append(f"I2: {len(stored) - len(set(stored))} duplicate rows")
    if alien := set(stored) - ledger.sent:
        broken.append(f"I6: {len(alien)} rows nobody sent")
    broken += _judge_target(ledger, "office", set(stored))
    # A citizen is told the number of a case, once; later messages join it.
    firsts = {row[0] for row in database.execute(FIRST_OF_CASE)}
    broken += _judge_target(ledger, "citizen", firsts)
    (integrity,) = database.execute("PRAGMA integrity_check").fetchone()
    if integrity != "ok":
        broken.append(f"I8: integrity_check says {integrity}")
    return broken + _judge_record(database, place)


def _judge_target(ledger: Ledger, target: str, expected: set[str]) -> list[str]:
    reached = {m: n for (t, m), n in ledger.by_message.items() if t == target}
    broken = []
    if missing := expected - set(reached):
        broken.append(f"I4: {len(missing)} messages never reached the {target}")
    if doubled := [m for m, n in reached.items() if n > 1]:
        broken.append(f"I5: {len(doubled)} messages took effect twice at the {target}")
    return broken


def _judge_record(database: sqlite3.Connection, place: Site) -> list[str]:
    """Check numbers and audit trail."""
    broken = []
    numbers = [row[0] for row in database.execute("SELECT number FROM cases")]
    ordinals = sorted(int(number.rsplit("-", 1)[1]) for number in numbers)
    if ordinals != list(range(1, len(ordinals) + 1)):
        broken.append("I4: case numbers have gaps or doubles")
    verified = subprocess.run(
        [sys.executable, "-m", "gateway.testing.daemon", "audit", "verify"],
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if verified.returncode != 0:
        broken.append(f"I7: {verified.stdout}{verified.stderr}")
    return broken


async def run(cycles: int, seed: int, environment: dict[str, str]) -> int:
    """Kill the daemon ``cycles`` times; return the number of broken invariants."""
    chance = random.Random(seed)
    started = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        site(environment) as place,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        clients = [Client(place, number) for number in range(CLIENTS)]
        daemon = place.start()
        slowest = await wait_ready(session, place)
        tasks = [asyncio.ensure_future(client.run(session)) for client in clients]
        for _ in range(cycles):
            await asyncio.sleep(chance.uniform(0.0, 0.4))
            daemon.send_signal(signal.SIGKILL)
            await asyncio.to_thread(daemon.wait)
            daemon = place.start()
            slowest = max(slowest, await wait_ready(session, place))
        for client in clients:
            client.stopping = True
        await asyncio.gather(*tasks)
        await drain(session, place)
        daemon.terminate()
        stopped = await asyncio.to_thread(daemon.wait)
        broken = judge(place)
        if stopped != 0:
            broken.append(f"the graceful stop ended with {stopped}")
        _report(place.ledger, cycles, slowest, time.monotonic() - started, broken)
    return len(broken)


def _report(
    ledger: Ledger, cycles: int, slowest: float, seconds: float, broken: list[str]
) -> None:
    again = len(ledger.attempts) - len(ledger.effects)
    print(
        f"crash: {cycles} kills in {seconds:.0f} s, slowest recovery {slowest:.1f} s;"
        f" {len(ledger.acknowledged)} acknowledged, {len(ledger.effects)} effects,"
        f" {again} repeated attempts absorbed by their key"
    )
    for each in broken:
        print(f"BROKEN {each}")
    print("crash: all invariants hold" if not broken else "crash: FAILED")


if __name__ == "__main__":
    import os

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    print(f"crash: seed {options.seed}")
    sys.exit(asyncio.run(run(options.cycles, options.seed, dict(os.environ))) > 0)
