"""A line to a mail server on which one fault strikes at one stage of the conversation.

The stage is the moment at which the client says something, such as ``UID MOVE``. The
fault strikes a number of times and lasts a while; then the line is good again.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto


class Fault(Enum):
    """What happens to the line."""

    RESET = auto()
    """Both ends get an RST before the server hears what was said."""
    BLACK_HOLE = auto()
    """Nothing goes through any more, in either direction, and nobody is told."""
    SLOW = auto()
    """A few octets at a time."""
    CUT = auto()
    """Some more octets go through, then both ends get an RST."""
    REPLY_LOST = auto()
    """The server does what it was told; its reply and the line are lost."""


STAGES = {
    "connect": None,
    "idle": re.compile(rb"^\S+ IDLE\r\n", re.MULTILINE),
    "fetch": re.compile(rb"UID FETCH \S+ \(UID BODY"),
    "move": re.compile(rb"UID MOVE "),
    "submit": re.compile(rb"^DATA\r\n", re.MULTILINE),
    "dot": re.compile(rb"\r\n\.\r\n"),
}
LASTS = 1.5
"""Seconds for which a line is a black hole or slow."""


@dataclass(eq=False)
class Proxy:
    """Listens on ``port``; ``times`` says how often the fault will strike."""

    to: int
    fault: Fault
    stage: str
    times: int = 1
    cut_after: int = 40
    port: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    healed: asyncio.Event = field(default_factory=asyncio.Event)
    _bad_until: float = 0.0
    _lines: dict[asyncio.Task[None], _Line] = field(default_factory=dict)

    def strikes(self, said: bytes) -> bool:
        """Tell whether the fault strikes at what the client says."""
        pattern = STAGES[self.stage]
        if self.times == 0 or (pattern is not None and not pattern.search(said)):
            return False
        self.times -= 1
        loop = asyncio.get_running_loop()
        self._bad_until = loop.time() + LASTS
        self.struck.set()
        if self.times == 0:
            loop.call_later(LASTS, self.healed.set)
        return True

    @property
    def is_bad(self) -> bool:
        """Tell whether a lasting fault lasts."""
        return asyncio.get_running_loop().time() < self._bad_until

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Connect a client to the server."""
        task = asyncio.current_task()
        assert task is not None
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        self._lines[task] = line = _Line(self, writer, far_writer)
        with suppress(OSError):
            await asyncio.gather(line.up(reader), line.down(far_reader))
        line.abort()
        del self._lines[task]

    async def close(self) -> None:
        """End every connection."""
        lines = dict(self._lines)
        for line in lines.values():
            line.abort()
        await asyncio.gather(*lines)


@asynccontextmanager
async def proxied(
    to: int, fault: Fault, stage: str, **more: int
) -> AsyncIterator[Proxy]:
    """Listen for as long as the block lasts."""
    proxy = Proxy(to, fault, stage, **more)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


class _Line:
    """One connection through the proxy."""

    def __init__(
        self, proxy: Proxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._left: int | None = None
        self._is_deaf = False
        self._is_slow = False
        self._is_hole = proxy.fault is Fault.BLACK_HOLE and proxy.is_bad

    async def up(self, reader: asyncio.StreamReader) -> None:
        """Carry what the client says."""
        if self._proxy.stage == "connect" and self._proxy.strikes(b""):
            self._begin()
        while said := await reader.read(65536):
            if self._proxy.stage != "connect" and self._proxy.strikes(said):
                self._begin()
            await self._carry(said, self._far)
        self._far.close()

    async def down(self, reader: asyncio.StreamReader) -> None:
        """Carry what the server says."""
        while said := await reader.read(65536):
            if self._is_deaf:
                self._reset()
                return
            await self._carry(said, self._near)
        self._near.close()

    def abort(self) -> None:
        """Hang up."""
        self._near.transport.abort()
        self._far.transport.abort()

    def _begin(self) -> None:
        fault = self._proxy.fault
        if fault is Fault.RESET:
            self._reset()
        self._is_deaf = fault is Fault.REPLY_LOST
        self._is_hole = fault is Fault.BLACK_HOLE
        self._is_slow = fault is Fault.SLOW
        if fault is Fault.CUT:
            self._left = self._proxy.cut_after

    async def _carry(self, said: bytes, to: asyncio.StreamWriter) -> None:
        if self._is_hole:
            return
        if self._left is not None:
            said, self._left = said[: self._left], max(0, self._left - len(said))
        while self._is_slow and self._proxy.is_bad and said:
            to.write(said[:10])
            said = said[10:]
            await asyncio.sleep(0.05)
        to.write(said)
        await to.drain()
        if self._left == 0:
            self._reset()

    def _reset(self) -> None:
        for writer in (self._near, self._far):
            end = writer.get_extra_info("socket")
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        raise ConnectionResetError
