"""``/files/<token>``: who has a link gets the file, to be saved and never to be shown.

Whatever a citizen sent is served from the gateway's own name, so no browser may take it
for a page of ours: as an attachment, of no type, in a sandbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import web
from sqlalchemy import Connection

from gateway import audit, messages, texts
from gateway.attachments import AttachmentStore
from gateway.clock import Clock
from gateway.delivering import name_of
from gateway.errors import NotFound, StoreError
from gateway.links import Links, Ticket
from gateway.model import Attachment, AttachmentState, Event
from gateway.store import Store
from gateway.texts import Texts

log = structlog.get_logger()

ACTION: Final = "attachment.downloaded"
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


class Downloads:
    """Serves the files that links are good for."""

    def __init__(
        self,
        links: Links,
        store: Store,
        attachments: AttachmentStore,
        clock: Clock,
        words: Texts,
    ) -> None:
        """Serve from ``attachments`` what ``links`` has signed."""
        self._links = links
        self._store = store
        self._attachments = attachments
        self._clock = clock
        self._words = words

    @property
    def handler(self) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return what answers a GET."""
        return self._serve

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            ticket = self._links.read(request.match_info["token"])
            if self._links.is_over(ticket, self._clock.now()):
                return self._sorry(410, texts.LINK_OVER)
            attachment, path = await self._find(ticket)
            if request.method == "GET":
                await self._record(ticket)
        except NotFound:
            return self._sorry(404, texts.LINK_UNKNOWN)
        except StoreError as error:
            log.warning("download_unavailable", error=str(error))
            return self._sorry(503, texts.LINK_LATER)
        name = quote(name_of(ticket.position + 1, attachment), safe="")
        headers = {
            **_HEADERS,
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "Content-Type": "application/octet-stream",
        }
        return web.FileResponse(path, headers=headers)

    async def _find(self, ticket: Ticket) -> tuple[Attachment, Path]:
        """Return the file, if it is still there: neither erased nor lost.

        Raises:
            NotFound: it is not.

        """

        def work(connection: Connection) -> list[Attachment]:
            found = messages.load_attachments(connection, [ticket.message_id])
            return found.get(ticket.message_id, [])

        files = await self._store.read(work)
        if ticket.position >= len(files):
            raise NotFound("no such file any more")
        attachment = files[ticket.position]
        if attachment.state is not AttachmentState.STORED or not attachment.sha256:
            raise NotFound("not stored any more")
        path = self._attachments.path(attachment.sha256)
        if not await asyncio.to_thread(path.is_file):
            raise NotFound("not on the disk any more")
        return attachment, path

    async def _record(self, ticket: Ticket) -> None:
        """Put on the record that somebody with the link got the file."""
        event = Event(
            action=ACTION,
            subject=ticket.message_id,
            actor="link",
            data={"position": ticket.position},
        )
        await self._store.run(lambda connection: audit.record(connection, event))

    def _sorry(self, status: int, text: str) -> web.Response:
        said = self._words.say(text) + "\n"
        return web.Response(status=status, text=said, headers=_HEADERS)
