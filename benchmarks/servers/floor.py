"""The floor F: read, verify, parse, answer; nothing is stored. ``floor.py PORT``."""

from __future__ import annotations

import hashlib
import hmac
import sys

import orjson
from aiohttp import web

SECRET = b"benchmark"


async def webhook(request: web.Request) -> web.Response:
    """Do what any receiver of signed webhooks must do."""
    body = await request.read()
    expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request.headers["X-Hub-Signature-256"], expected):
        raise web.HTTPUnauthorized
    orjson.loads(body)
    return web.Response(text="accepted\n")


async def live(request: web.Request) -> web.Response:
    """Say that the server is there."""
    del request
    return web.Response()


app = web.Application()
app.router.add_post("/webhook", webhook)
app.router.add_get("/healthz", live)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
