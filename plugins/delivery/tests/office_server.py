"""A real HTTP server in the place of an office's system, that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(slots=True)
class Posted:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class OfficeServer:
    """What it got, and how it answers next: a status, or ``hang`` or ``cut``."""

    requests: list[Posted] = field(default_factory=list)
    answers: list[int | str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        posted = Posted(request.method, request.path, headers, await request.read())
        self.requests.append(posted)
        answer = self.answers.pop(0) if self.answers else 204
        if answer == "hang":
            await asyncio.sleep(30)
        if isinstance(answer, str):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=answer, headers=self.headers)


@contextlib.asynccontextmanager
async def office_server() -> AsyncIterator[OfficeServer]:
    """Serve on a free port of this machine."""
    office = OfficeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", office.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        office.port = runner.addresses[0][1]
        yield office
    finally:
        await runner.cleanup()
