"""SMTP servers that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[int]:
    """Serve with ``handle``; wait at the end until every connection is closed."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await handle(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*serving)


@dataclass
class Exchange:
    """A server that answers RCPT and the final dot as told, and keeps what it took.

    Of several words for one address, each is said once, the last one ever after.
    """

    rcpt: dict[str, list[str]]
    dot: list[str] = field(default_factory=list)
    offered: list[list[str]] = field(default_factory=list)
    took: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        async with serving(self._serve) as port:
            yield port

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        accepted: list[str] = []
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            if verb == "EHLO":
                self.offered.append([])
            elif verb == "RCPT":
                address = rest.removeprefix("TO:<").removesuffix(">")
                self.offered[-1].append(address)
                says = _next(self.rcpt.get(address, ["250 OK"]))
                accepted += [address] if says.startswith("250") else []
                writer.write(f"{says}\r\n".encode())
                continue
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                octets = await reader.readuntil(b"\r\n.\r\n")
                says = _next(self.dot or ["250 OK"])
                if says.startswith("250"):
                    self.took.append((tuple(accepted), octets))
                if says == "250 lost":
                    return
                writer.write(f"{says}\r\n".encode())
                continue
            writer.write(b"250 OK\r\n")


def _next(words: list[str]) -> str:
    return words.pop(0) if len(words) > 1 else words[0]
