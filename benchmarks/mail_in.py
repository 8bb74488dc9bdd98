"""Mail in: from the server's push to the store, catching up, and 25 MB mails."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
import time
from collections.abc import Iterator
from uuid import uuid4

from aioimaplib import aioimaplib
from figures import Figure, compare
from mail_peer import Collecting, Dovecot, dovecot, fetch_alone

from gateway.cli.daemon import calm_collector

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
            against="the promise; from the server's push",
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
    """Return how long after the server's push a mail is stored, in ms; the median.

    The push is the one on our own connection: Dovecot tells each client at a moment of
    its own, up to half a second apart.
    """
    folder = await server.fill(_mails(1, 3_000))
    ours, late = Collecting(), []
    news = asyncio.Event()
    ours.on_stored = news.set
    pushed = _note_pushes()
    async with server.client() as sender, ours.running(server.port, folder):
        await news.wait()
        for mail in _mails(PUSHES, 3_000):
            await asyncio.sleep(0.3)
            news.clear()
            await sender.append(mail, folder)
            await news.wait()
            late.append(1000 * (time.perf_counter() - pushed[-1]))
    return statistics.median(late)


def _note_pushes() -> list[float]:
    """Note from now on when the library hands a push over."""
    times: list[float] = []
    real = aioimaplib.IMAP4.wait_server_push

    async def noting(client: aioimaplib.IMAP4, timeout: float) -> list[bytes]:  # noqa: ASYNC109 (the library's)
        lines: list[bytes] = await real(client, timeout)
        times.append(time.perf_counter())
        return lines

    aioimaplib.IMAP4.wait_server_push = noting
    return times


async def _catch_up(server: Dovecot, rounds: int) -> tuple[list[float], list[float]]:
    """Return mails a second, ours and the library's."""
    ours, alone = [], []
    calm_collector()
    for _ in range(rounds):
        folder = await server.fill(_mails(MAILS, 3_000))
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
        collecting, done = Collecting(), asyncio.Event()
        collecting.on_stored = lambda: (
            done.set() if collecting.stored == count else None
        )
        async with collecting.running(port, folder):
            await done.wait()

    asyncio.run(collect())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
