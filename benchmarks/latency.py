"""From webhook to sink at 50 messages a second, above the sink's own answer time."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import orjson
from city import build
from figures import Figure, compare, percentile
from gateway_whatsapp.signature import HEADER, sign
from load import SECRET, webhooks
from processes import daemon, free_port, get, server

PER_SECOND = 50
MESSAGES = 500
LIMIT_P50, LIMIT_P99 = 25.0, 100.0


def measure(rounds: int) -> list[Figure]:
    """Send at a steady pace; the reference is what we promise, in milliseconds."""
    p50s, p99s = [], []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        for number in range(rounds):
            waits = _run(Path(name) / str(number))
            p50s.append(percentile(waits, 0.50))
            p99s.append(percentile(waits, 0.99))
    rows = (("latency-50-p50", p50s, LIMIT_P50), ("latency-50-p99", p99s, LIMIT_P99))
    return [
        compare(
            name,
            found,
            [limit] * rounds,
            unit="ms",
            against="the promise",
            at_most=1.0,
        )
        for name, found, limit in rows
    ]


def _run(folder: Path) -> Sequence[float]:
    port, sink = free_port(), free_port()
    build(folder, port, sink)
    with server("sink", sink), daemon(folder, port):
        own = asyncio.run(_answer_time(f"http://127.0.0.1:{sink}/own"))
        sent = asyncio.run(_send(f"http://127.0.0.1:{port}/channels/urp/webhook"))
        each = _arrivals(sink)
    return [(each[f"/{key}"] - at - own) * 1000 for key, at in sent.items()]


def _arrivals(sink: int) -> dict[str, float]:
    """Wait for the last message; return each one's time."""
    for _ in range(100):
        arrived = json.loads(get(f"http://127.0.0.1:{sink}/arrivals"))
        if arrived["count"] > MESSAGES:
            break
        time.sleep(0.1)
    each: dict[str, float] = arrived["each"]
    return each


async def _answer_time(url: str) -> float:
    """Return the median of the sink's own answer time, in seconds."""
    times = []
    async with aiohttp.ClientSession() as session:
        for _ in range(100):
            began = time.monotonic()
            async with session.post(url, data=b"{}") as response:
                await response.read()
            times.append(time.monotonic() - began)
    return percentile(times, 0.5)


async def _send(url: str) -> dict[str, float]:
    """Send each message at its time, whether or not the last is answered."""
    sent: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        began = loop.time()
        for number, body in enumerate(webhooks(MESSAGES)):
            await asyncio.sleep(began + number / PER_SECOND - loop.time())
            message = orjson.loads(body)["entry"][0]["changes"][0]["value"]["messages"]
            sent[message[0]["id"]] = time.monotonic()
            group.create_task(_post(session, url, body))
    return sent


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    headers = {HEADER: sign(body, SECRET.encode())}
    async with session.post(url, data=body, headers=headers) as response:
        response.raise_for_status()
