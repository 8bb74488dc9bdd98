"""kill -9 under load, again and again: ``loop.py --cycles 100``.

The daemon is killed at random moments and started again; at the end it drains and the
judge speaks. Exit code 1 if an invariant is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time

import aiohttp
from crash_site import Client, drain, judge, site, wait_ready
from ledger import Ledger

CLIENTS = 8


async def run(cycles: int, seed: int, environment: dict[str, str], url: str) -> int:
    """Kill the daemon ``cycles`` times; return the number of broken invariants."""
    chance = random.Random(seed)
    started = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        site(environment, url) as place,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        clients = [Client(place, number) for number in range(CLIENTS)]
        daemon = place.start()
        slowest = await wait_ready(session, place, daemon)
        tasks = [asyncio.ensure_future(client.run(session)) for client in clients]
        for _ in range(cycles):
            await asyncio.sleep(chance.uniform(0.0, 0.4))
            daemon.send_signal(signal.SIGKILL)
            await asyncio.to_thread(daemon.wait)
            daemon = place.start()
            slowest = max(slowest, await wait_ready(session, place, daemon))
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().getrandbits(32)
    )
    parser.add_argument(
        "--url", default="sqlite:///gateway.db", help="an empty database"
    )
    options = parser.parse_args()
    print(f"crash: seed {options.seed}")
    sys.exit(
        asyncio.run(run(options.cycles, options.seed, dict(os.environ), options.url))
        > 0
    )
