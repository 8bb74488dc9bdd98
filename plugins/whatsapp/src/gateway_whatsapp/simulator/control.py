"""A few addresses to play the citizen with, by ``curl`` or from another program.

``POST /simulator/text`` (form: ``from``, ``body``, ``name``), ``POST /simulator/image``
(form: ``from``, ``file``, ``caption``, ``name``), ``GET /simulator/sent``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from gateway_whatsapp.simulator.simulator import CloudApiSimulator

_dumps = partial(json.dumps, default=str, ensure_ascii=False)


def routes(simulator: CloudApiSimulator) -> Iterable[web.RouteDef]:
    """Return the routes that let ``simulator`` act."""

    async def text(request: web.Request) -> web.Response:
        form = await request.post()
        payload = simulator.text(
            _field(form, "from"), _field(form, "body"), **_name(form)
        )
        return await _send(simulator, payload)

    async def image(request: web.Request) -> web.Response:
        form = await request.post()
        file = form.get("file")
        if not isinstance(file, web.FileField):
            raise web.HTTPBadRequest(text="file: missing\n")
        media_id = simulator.add_media(file.file.read(), file.content_type)
        caption = str(form.get("caption", ""))
        payload = simulator.image(
            _field(form, "from"), media_id, caption, **_name(form)
        )
        return await _send(simulator, payload)

    async def sent(request: web.Request) -> web.Response:
        del request
        found = [dataclasses.asdict(each) for each in simulator.sent]
        return web.json_response(found, dumps=_dumps)

    return (
        web.post("/simulator/text", text),
        web.post("/simulator/image", image),
        web.get("/simulator/sent", sent),
    )


def _field(form: Any, key: str) -> str:
    value = form.get(key)
    if not isinstance(value, str) or not value:
        raise web.HTTPBadRequest(text=f"{key}: missing\n")
    return value


def _name(form: Any) -> dict[str, str]:
    return {"name": str(form["name"])} if "name" in form else {}


async def _send(simulator: CloudApiSimulator, payload: dict[str, Any]) -> web.Response:
    """Pass the gateway's answer on."""
    try:
        status, text = await simulator.webhook(payload)
    except (aiohttp.ClientError, ValueError) as error:
        text = f"the gateway does not answer at webhook_url: {error}\n"
        raise web.HTTPBadGateway(text=text) from None
    return web.Response(status=status, text=text)
