"""The channel when the line to the server fails."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from gateway_email import EmailChannel
from gateway_email.devserver import MailServer
from gateway_email.imap import MailboxError

from gateway.model import HealthStatus

Until = Callable[[Callable[[], bool]], Awaitable[None]]
URP = "urp@comune.test"


def _mail(number: int) -> bytes:
    return f"From: a{number}@example.it\r\nSubject: {number}\r\n\r\nCiao.\r\n".encode()


class Line:
    """A TCP line to a server that can be reset, swallow all, or be cut in time."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.is_hole = False
        self.cut_after: int | None = None
        self._to = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.reset()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def reset(self) -> None:
        """Send RST to both ends."""
        linger = struct.pack("ii", 1, 0)
        for writer in self._writers:
            end = writer.get_extra_info("socket")
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        self._writers.clear()

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, far_writer}
        with suppress(OSError):
            await asyncio.gather(
                self._pump(reader, far_writer), self._pump(far_reader, writer)
            )
        writer.close()
        far_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while octets := await reader.read(4096):
            if self.is_hole:
                continue
            if self.cut_after is not None:
                self.cut_after -= len(octets)
                if self.cut_after <= 0:
                    self.cut_after = None
                    self.reset()
                    return
            writer.write(octets)
            await writer.drain()
        writer.close()


@pytest.fixture
async def line(server: MailServer) -> AsyncIterator[Line]:
    """A line to the IMAP server."""
    made = Line(server.imap_port)
    await made.open()
    yield made
    await made.close()


async def _supervise(channel: EmailChannel, faults: list[str]) -> None:
    """Follow again whenever it fails, as the channel does."""
    while True:
        try:
            await channel.followers[0].follow()
        except MailboxError as error:
            faults.append(error.code)
            await asyncio.sleep(0.01)


async def test_reset_while_idling_is_noticed_at_once(
    line: Line,
    server: MailServer,
    channel: Callable[..., EmailChannel],
    inbox: Any,
    until: Until,
) -> None:
    """Not after the idle time, as the library would; then mail flows again."""
    posta = channel(port=line.port, idle_seconds=600.0)
    faults: list[str] = []
    task = asyncio.create_task(_supervise(posta, faults))
    await until(lambda: posta.health().status is HealthStatus.OK)
    line.reset()
    await server.deliver(URP, _mail(1))
    await inbox.wait_for(1)
    task.cancel()

    assert faults == ["imap_lost"]


async def test_black_hole_while_idling_is_noticed_after_the_idle_time(
    line: Line,
    server: MailServer,
    channel: Callable[..., EmailChannel],
    inbox: Any,
    until: Until,
) -> None:
    """A line that swallows everything costs idle time and time-out, then recovers."""
    posta = channel(port=line.port, idle_seconds=0.3, timeout=0.3)
    faults: list[str] = []
    task = asyncio.create_task(_supervise(posta, faults))
    await until(lambda: posta.health().status is HealthStatus.OK)
    line.is_hole = True
    await server.deliver(URP, _mail(1))
    await until(lambda: bool(faults))
    line.is_hole = False
    await inbox.wait_for(1)
    task.cancel()

    assert faults[0] == "imap_silent"


async def test_black_hole_at_start_is_given_up(
    line: Line, channel: Callable[..., EmailChannel]
) -> None:
    """A server that takes the connection and says nothing does not hang us."""
    line.is_hole = True
    with pytest.raises(MailboxError, match="imap_"):
        await channel(port=line.port, timeout=0.2).followers[0].follow()


@pytest.mark.parametrize("octets", [50, 400, 700, 1_000, 1_200, 1_500, 2_000])
async def test_cut_anywhere_loses_and_doubles_nothing(
    line: Line,
    server: MailServer,
    channel: Callable[..., EmailChannel],
    inbox: Any,
    octets: int,
) -> None:
    """However far a session came, all mail is stored once in the end."""
    for number in range(5):
        await server.deliver(URP, _mail(number))
    line.cut_after = octets
    posta = channel(port=line.port, done_folder="Fatto", timeout=2.0)
    faults: list[str] = []
    task = asyncio.create_task(_supervise(posta, faults))
    await inbox.wait_for(5)
    await server.deliver(URP, _mail(5))
    await inbox.wait_for(6)
    task.cancel()

    assert sorted(_mail(number) for number in range(6)) == sorted(
        inbox.originals.values()
    )
    assert len(faults) == 1
