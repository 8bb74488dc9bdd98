"""Two hundred citizens behind ten thousand messages of one sender (reliability P6)."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from city import build
from figures import Figure, compare
from gateway_whatsapp.signature import HEADER, sign
from load import SECRET, webhooks
from processes import daemon, free_port, get, server

FLOOD, AT_ONCE, CITIZENS = 10_000, 500, 200
_PERSON = {"from": "393339999999"}
IN_FLIGHT = 128
"""Turns that are under way already: what workers have claimed is not taken back."""


def measure(rounds: int) -> list[Figure]:
    """Let citizens write behind a flood, and without one, in turn."""
    turns, behind, alone = [], [], []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        for number in range(rounds):
            waits, _ = _run(Path(name) / f"alone-{number}", flood=0)
            alone.append(max(waits))
            waits, worst = _run(Path(name) / f"flood-{number}", flood=FLOOD)
            behind.append(max(waits))
            turns.append(worst)
    return [
        compare(
            "flood-worst-turn",
            turns,
            [2 * CITIZENS + IN_FLIGHT] * rounds,
            unit="turn",
            against="one turn of the flood for each citizen's",
            at_most=1.0,
        ),
        compare(
            "flood-worst-delay",
            behind,
            alone,
            unit="ms",
            against=f"the same {CITIZENS} citizens without a flood",
        ),
    ]


def _run(folder: Path, *, flood: int) -> tuple[Sequence[float], float]:
    """Return how long each citizen waited in ms, and the worst one's turn."""
    port, sink = free_port(), free_port()
    build(folder, port, sink)
    with server("sink", sink), daemon(folder, port):
        sent = asyncio.run(
            _send(f"http://127.0.0.1:{port}/channels/urp/webhook", flood)
        )
        each = _arrivals(sink, sent)
    came = {key: each[f"/{key}"] for key in sent}
    times = sorted(each.values())
    turns = [
        sum(sent[key] < at <= arrived for at in times) for key, arrived in came.items()
    ]
    return [(at - sent[key]) * 1000 for key, at in came.items()], float(max(turns))


def _arrivals(sink: int, sent: Mapping[str, float]) -> dict[str, float]:
    """Wait until all the citizens' messages have arrived; return each one's time."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        arrived = json.loads(get(f"http://127.0.0.1:{sink}/arrivals"))
        each: dict[str, float] = arrived["each"]
        if all(f"/{key}" in each for key in sent):
            return each
        time.sleep(0.2)
    raise TimeoutError("citizens' messages did not arrive")


async def _send(url: str, flood: int) -> dict[str, float]:
    """Send the flood, then the citizens' messages; return when each was sent."""
    sent: dict[str, float] = {}
    async with aiohttp.ClientSession() as session:
        for body in _of_one_sender(flood):
            await _post(session, url, body)
        async with asyncio.TaskGroup() as group:
            for body in webhooks(CITIZENS, first=FLOOD):
                (message,) = _value(orjson.loads(body))["messages"]
                sent[message["id"]] = time.monotonic()
                group.create_task(_post(session, url, body))
    return sent


def _of_one_sender(count: int) -> Iterator[bytes]:
    """Return webhooks of many messages each, as Meta sends them when it is late."""
    each = (orjson.loads(body) for body in webhooks(count))
    while some := list(islice(each, AT_ONCE)):
        value = _value(some[0])
        messages = [m for w in some for m in _value(w)["messages"]]
        value["messages"] = [message | _PERSON for message in messages]
        value["contacts"] = [value["contacts"][0] | {"wa_id": _PERSON["from"]}]
        yield orjson.dumps(some[0])


def _value(webhook: Any) -> Any:
    return webhook["entry"][0]["changes"][0]["value"]


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    headers = {HEADER: sign(body, SECRET.encode())}
    async with session.post(url, data=body, headers=headers) as response:
        response.raise_for_status()
