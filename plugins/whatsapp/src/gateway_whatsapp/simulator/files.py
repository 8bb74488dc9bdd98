"""Files: uploads, where one is, and the file itself."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from gateway_whatsapp.simulator.account import Account, nothing
from gateway_whatsapp.simulator.failing import fail, hang_up, next_of
from gateway_whatsapp.simulator.faults import Answer, Fault, Faults, GraphError
from gateway_whatsapp.simulator.media import MediaLibrary, Medium, require_kind
from gateway_whatsapp.simulator.strict import PARAMETER

_CHUNK = 64 * 1024


class Files:
    """Answers what is asked about files."""

    def __init__(
        self,
        account: Account,
        media: MediaLibrary,
        faults: Faults,
        stopped: asyncio.Event,
    ) -> None:
        """Serve ``media``, with ``faults``, until ``stopped``."""
        self._account = account
        self._media = media
        self._faults = faults
        self._stopped = stopped

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Keep a file that the gateway is about to send, as strictly as Meta."""
        self._account.require_number(request.match_info["id"])
        form = await request.post()
        fault = next_of(self._faults.upload)
        if fault is not None and not fault.accepted:
            return await fail(request, fault, self._stopped)
        medium = self._keep(form)
        if fault is not None:
            return await fail(request, fault, self._stopped)
        return web.json_response({"id": medium.id})

    def _keep(self, form: Any) -> Medium:
        file = form.get("file")
        if form.get("messaging_product") != "whatsapp":
            raise GraphError(PARAMETER, "messaging_product: must be whatsapp")
        if not isinstance(file, web.FileField):
            raise GraphError(PARAMETER, "file: missing")
        if file.content_type != form.get("type"):
            raise GraphError(PARAMETER, "type: not that of the file")
        content = file.file.read()
        require_kind(file.content_type, len(content))
        return self._media.add(content, file.content_type)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Say where a file is."""
        found = request.match_info["id"]
        asked_for = request.query.get("phone_number_id")
        if asked_for is not None and asked_for not in self._account.numbers:
            raise nothing(found)
        fault = next_of(self._faults.media)
        expired = fault is not None and fault.answer is Answer.EXPIRED
        if fault is not None and not expired:
            return await fail(request, fault, self._stopped)
        medium = self._media.get(found)
        if medium is None:
            raise nothing(found)
        key = self._media.address(medium, expired=expired)
        url = request.url.origin() / "media" / key
        return web.json_response(medium.metadata(str(url)))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Forget a file."""
        found = request.match_info["id"]
        if self._media.get(found) is None:
            raise nothing(found)
        self._media.remove(found)
        return web.json_response({"success": True})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Stream a file, slice by slice, or fail as scripted."""
        medium = self._media.at(request.match_info["key"])
        if medium is None:
            raise web.HTTPNotFound
        fault = next_of(self._faults.download)
        if fault is None:
            return await _stream(request, medium, medium.content, _CHUNK)
        return await self._badly(request, medium, fault)

    async def _badly(
        self, request: web.Request, medium: Medium, fault: Fault
    ) -> web.StreamResponse:
        content = medium.content
        if fault.answer is Answer.OTHER:
            content = bytes(255 - octet for octet in content)
            return await _stream(request, medium, content, _CHUNK)
        if fault.answer is Answer.CUT:
            await _stream(request, medium, content[: fault.after], _CHUNK, cut=True)
            return hang_up(request)
        if fault.answer is Answer.SLOW:
            half = -(-len(content) // 2)
            return await _stream(request, medium, content, half, fault.seconds)
        return await fail(request, fault, self._stopped)


async def _stream(  # noqa: PLR0913 (how a stream may go)
    request: web.Request,
    medium: Medium,
    content: bytes,
    chunk: int,
    seconds: float = 0.0,
    *,
    cut: bool = False,
) -> web.StreamResponse:
    """Send ``content`` as if it were the whole file."""
    response = web.StreamResponse(headers={"Content-Type": medium.mime_type})
    response.content_length = len(medium.content)
    await response.prepare(request)
    whole = memoryview(content)
    for start in range(0, len(whole), max(chunk, 1)):
        await asyncio.sleep(seconds)
        await response.write(whole[start : start + chunk])
    if not cut:
        await response.write_eof()
    return response
