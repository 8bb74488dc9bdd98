"""A Nominatim server on this machine, as strict as its API description and policy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from aiohttp import web

DATA = Path(__file__).parent / "data" / "nominatim"
COMMON = {"format", "addressdetails", "layer", "accept-language"}
ALLOWED = {
    "/search": COMMON | {"street", "city", "countrycodes", "limit"},
    "/reverse": COMMON | {"lat", "lon", "zoom"},
    "/status": {"format"},
}
LAYERS = {"address", "poi", "railway", "natural", "manmade"}
FORMATS = {"/status": {"text", "json"}}
DEFAULT = {"/search": "street.json", "/reverse": "reverse.json"}


@dataclass(slots=True)
class Nominatim:
    """What was asked, and what is answered: a file, a body, or a status."""

    asked: list[dict[str, str]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    answers: list[str | bytes | int] = field(default_factory=list)
    wait: float = 0.0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer, or refuse what the API does not know."""
        query = dict(request.query)
        if request.path != "/status":
            self.asked.append(query)
        agent = request.headers.get("User-Agent", "")
        self.agents.append(agent)
        await asyncio.sleep(self.wait)
        if not agent or agent.startswith(("Python", "aiohttp")):
            return web.Response(status=403, text="say who you are")
        wrong = _complaint(request.path, query)
        if wrong:
            return web.json_response(
                {"error": {"code": 400, "message": wrong}}, status=400
            )
        default = DEFAULT.get(request.path, "status.json")
        answer = self.answers.pop(0) if self.answers else default
        if isinstance(answer, int):
            headers = {"Location": str(request.rel_url)} if answer in {301, 302} else {}
            return web.Response(status=answer, headers=headers)
        body = (DATA / answer).read_bytes() if isinstance(answer, str) else answer
        return web.Response(body=body, content_type="application/json")


def _complaint(path: str, query: dict[str, str]) -> str:
    unknown = set(query) - ALLOWED[path]
    formats = FORMATS.get(path, {"xml", "json", "jsonv2", "geojson", "geocodejson"})
    numbers = [query.get(name, "1") for name in ("limit", "zoom")]
    complaints = {
        f"unknown: {unknown}": bool(unknown),
        "Parameter 'format' must be one of: ...": query["format"] not in formats,
        "Parameter 'layer' must be ...": query.get("layer", "address") not in LAYERS,
        "must be a number.": not all(each.isdigit() for each in numbers),
        "Nothing to search for.": path == "/search" and not query.get("street"),
        "Parameter 'lat' must be a number.": path == "/reverse" and not _placed(query),
    }
    return next((text for text, wrong in complaints.items() if wrong), "")


def _placed(query: dict[str, str]) -> bool:
    try:
        return all(isfinite(float(query[name])) for name in ("lat", "lon"))
    except (KeyError, ValueError):
        return False


@contextlib.asynccontextmanager
async def nominatim() -> AsyncIterator[Nominatim]:
    """Run a server on a free port."""
    server = Nominatim()
    app = web.Application()
    for path in ALLOWED:
        app.router.add_get(path, server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
