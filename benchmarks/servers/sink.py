"""Where handed-over messages end: ``sink.py PORT``.

``POST /<n>`` notes message ``n``; ``GET /arrivals`` tells how many different ones came,
when the last of them did, and each one's time if few came. Times are monotonic.
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson
from aiohttp import web

arrivals: dict[str, float] = {}
FEW = 10_000


async def take(request: web.BaseRequest) -> web.StreamResponse:
    """Note a message, or tell what came."""
    if request.method == "POST":
        await request.read()
        arrivals.setdefault(request.path, time.monotonic())
    elif request.path == "/arrivals":
        return web.Response(body=orjson.dumps(summary()))
    return web.Response()


def summary() -> dict[str, object]:
    """Return what came so far."""
    return {
        "count": len(arrivals),
        "last": max(arrivals.values(), default=0.0),
        "each": arrivals if len(arrivals) <= FEW else {},
    }


async def serve(port: int) -> None:
    """Serve until killed, as plainly as can be: what we measure shares the machine."""
    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
