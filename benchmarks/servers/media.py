"""A provider's media server: ``media.py PORT FOLDER``.

``GET /<version>/<id>`` tells where the file ``FOLDER/<id>`` is, as the Graph API does;
``GET /files/<id>`` sends it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])


async def tell(request: web.Request) -> web.Response:
    """Tell where a file is."""
    media = request.match_info["media"]
    return web.json_response({"url": f"http://127.0.0.1:{PORT}/files/{media}"})


async def live(request: web.Request) -> web.Response:
    """Say that the server is there."""
    del request
    return web.Response()


app = web.Application()
app.router.add_get("/healthz", live)
app.router.add_get("/v25.0/{media}", tell)
app.router.add_static("/files", FOLDER)
web.run_app(app, host="127.0.0.1", port=PORT, print=None, access_log=None)
