"""Mail in: from the server's push to the store, catching up, and 25 MB mails."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from collections.abc import Iterator
from uuid import uuid4

from figures import Figure, compare
from mail_peer import Collecting, Dovecot, dovecot, fetch_alone

MAILS, PUSHES = 10_000, 15
LARGE, FEW, MANY = 25_000_000, 3, 15
PUSH_LIMIT_MS = 100.0


def measure(rounds: int) -> list[Figure]:
    """Ours and aioimaplib alone on the same folder, in turn."""
    with dovecot() as server:
        pushed = asyncio.run(_push(server))
        ours, alone = asyncio.run(_catch_up(server, rounds))
        few, many = _peaks(server, FEW), _peaks(server, MANY)
    return [
        compare(
            "mail-push-to-stored",
            [pushed],
            [PUSH_LIMIT_MS],
            unit="ms",
            against="the promise; after aioimaplib alone saw it",
            at_most=1.0,
        ),
        compare(
            "mail-catch-up",
            ours,
            alone,
            unit="mails/s",
            against="aioimaplib alone, nothing stored",
            at_least=0.5,
        ),
        compare(
            "mail-memory",
            [many],
            [few],
            unit="MiB",
            against=f"{FEW} mails of 25 MB instead of {MANY}",
            at_most=1.1,
        ),
    ]


def _mails(count: int, size: int) -> Iterator[bytes]:
    head = "From: Maria <m{0}@example.it>\r\nTo: urp@comune.test\r\nSubject: {0}\r\n"
    line = b"Nella via Roma, davanti al civico 12, si apre una buca profonda.\r\n"
    for number in range(count):
        start = f"{head.format(number)}Message-ID: <{uuid4()}@example.it>\r\n\r\n"
        yield start.encode() + line * (size // len(line))


async def _push(server: Dovecot) -> float:
    """Return how long after the library alone saw it a mail is stored; the median."""
    folder = await server.fill(_mails(1, 3_000))
    ours = Collecting()
    times: list[float] = []
    ours.on_stored = lambda: times.append(time.perf_counter())
    seen: list[float] = []
    async with (
        server.client() as watcher,
        server.client() as sender,
        ours.running(server.port, folder),
    ):
        await watcher.select(folder)
        idle = await watcher.idle_start(timeout=600)
        while not times:
            await asyncio.sleep(0.05)
        for number, mail in enumerate(_mails(PUSHES, 3_000), start=1):
            await asyncio.sleep(0.3)
            await sender.append(mail, folder)
            while not any(
                b"EXISTS" in each for each in await watcher.wait_server_push()
            ):
                pass
            seen.append(time.perf_counter())
            while len(times) <= number:
                await asyncio.sleep(0.001)
        watcher.idle_done()
        await idle
    late = [1000 * (a - b) for a, b in zip(times[1:], seen, strict=True)]
    return max(0.0, sorted(late)[len(late) // 2])


async def _catch_up(server: Dovecot, rounds: int) -> tuple[list[float], list[float]]:
    """Return mails a second, ours and the library's."""
    ours, alone = [], []
    folder = await server.fill(_mails(MAILS, 3_000))
    for _ in range(rounds):
        async with server.client() as client:
            began = time.perf_counter()
            count = await fetch_alone(client, folder)
            alone.append(count / (time.perf_counter() - began))
        collecting = Collecting()
        done = asyncio.Event()
        collecting.on_stored = lambda c=collecting, d=done: (
            d.set() if c.stored == MAILS else None
        )
        began = time.perf_counter()
        async with collecting.running(server.port, folder):
            await done.wait()
            ours.append(MAILS / (time.perf_counter() - began))
    return ours, alone


def _peaks(server: Dovecot, count: int) -> float:
    """Collect large mails in a process of its own; return its peak in MiB."""
    folder = asyncio.run(server.fill(_mails(count, LARGE)))
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak, (server.port, folder, count))


def _peak(port: int, folder: str, count: int) -> float:
    async def collect() -> None:
        collecting = Collecting()
        async with collecting.running(port, folder):
            while collecting.stored < count:
                await asyncio.sleep(0.05)

    asyncio.run(collect())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
