"""The simulated Cloud API: an aiohttp application on a port of this machine."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import PayloadError
from gateway.payload import Payload
from gateway_whatsapp.people import is_bsuid
from gateway_whatsapp.simulator.faults import Answer, Fault, GraphError
from gateway_whatsapp.simulator.ledger import Attempt, Ledger, SentMessage
from gateway_whatsapp.simulator.media import MediaLibrary, require_kind
from gateway_whatsapp.simulator.payloads import new_wamid
from gateway_whatsapp.simulator.schema import PARAMETER, MarkRead, Send, read_request
from gateway_whatsapp.simulator.windows import Windows

_CHUNK = 64 * 1024
_LARGEST = 101 * 2**20
_NOT_DIGIT = re.compile(r"[^0-9]")
_TOKEN = 190
_NOTHING_THERE = (100, 33)
_WINDOW_CLOSED, _NO_TEMPLATE, _OTHER_PARAMETERS = 131047, 132001, 132000
_UNWANTED = re.compile(r"[\n\t]| {5}")


class GraphServer:
    """Answers the gateway's requests; refuses what Meta refuses, in Meta's words."""

    def __init__(  # noqa: PLR0913 (made in one place)
        self,
        *,
        token: str,
        phone_number_id: str,
        clock: Clock,
        ledger: Ledger,
        media: MediaLibrary,
        on_accepted: Callable[[SentMessage], None],
    ) -> None:
        """Serve one number; call ``on_accepted`` with every message taken."""
        self._token = token
        self._phone_number_id = phone_number_id
        self._clock = clock
        self._ledger = ledger
        self._media = media
        self._on_accepted = on_accepted
        self.faults: deque[Fault] = deque()
        self.windows: Windows | None = None
        self.templates: dict[tuple[str, str], int] | None = None
        self.stopped = asyncio.Event()

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[_told_by_meta], client_max_size=_LARGEST)
        version = r"/{version:v\d+\.0}"
        app.router.add_post(version + r"/{id}/messages", self._messages)
        app.router.add_post(version + r"/{id}/media", self._upload)
        app.router.add_get(version + r"/{id}", self._object)
        app.router.add_get("/media/{key}", self._download)
        return app

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        """Take a message, or fail as scripted."""
        self._authorise(request)
        body = _decoded(await request.read())
        try:
            self._require_number(request.match_info["id"])
            asked = read_request(body)
            self._require_media(asked)
            self._require_window(asked)
            self._require_template(asked)
        except GraphError as error:
            await self._write(body, f"refused: {error.code}")
            raise
        if isinstance(asked, MarkRead):
            await self._write(body, "marked as read")
            return web.json_response({"success": True})
        return await self._take(request, body, asked)

    async def _take(
        self, request: web.Request, body: Payload, asked: Send
    ) -> web.StreamResponse:
        fault = self.faults.popleft() if self.faults else None
        if fault is None:
            sent = await self._accept(body, asked, "accepted")
            return web.json_response(_answer(asked, sent.wamid))
        if fault.accepted:
            await self._accept(body, asked, f"accepted: {fault.answer.value}")
        else:
            await self._write(body, f"not accepted: {fault.answer.value}")
        return await self._fail(request, fault)

    async def _accept(self, body: Payload, asked: Send, outcome: str) -> SentMessage:
        sent = self._sent(asked)
        await self._write(body, outcome, sent)
        self._on_accepted(sent)
        return sent

    async def _write(
        self, body: Payload, outcome: str, sent: SentMessage | None = None
    ) -> None:
        attempt = Attempt(at=self._clock.now(), body=body.value, outcome=outcome)
        await self._ledger.write(attempt, sent)

    def _sent(self, asked: Send) -> SentMessage:
        return SentMessage(
            at=self._clock.now(),
            wamid=new_wamid(),
            to=_wa_id(asked.person),
            type=asked.type,
            text=asked.text.body if asked.text else "",
            biz_opaque_callback_data=asked.biz_opaque_callback_data,
            context_id=asked.context.message_id if asked.context else None,
            media_id=asked.media.id if asked.media else None,
            filename=asked.media.filename if asked.media else None,
            template=asked.template.name if asked.template else None,
            parameters=tuple(asked.template.texts) if asked.template else (),
        )

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.answer is Answer.SILENCE:
            await self.stopped.wait()
        if fault.answer in {Answer.SILENCE, Answer.DROP}:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=499)
        if fault.answer is Answer.PLAIN:
            page = f"<html><body>{fault.status}</body></html>"
            headers = _pause(fault.retry_after)
            return web.Response(
                status=fault.status,
                text=page,
                content_type="text/html",
                headers=headers,
            )
        raise GraphError(
            fault.code or 1,
            "scripted fault",
            status=fault.status,
            retry_after=fault.retry_after,
        )

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """Keep a file that the gateway is about to send, as strictly as Meta."""
        self._authorise(request)
        self._require_number(request.match_info["id"])
        form = await request.post()
        file = form.get("file")
        if form.get("messaging_product") != "whatsapp":
            raise GraphError(PARAMETER, "messaging_product: must be whatsapp")
        if not isinstance(file, web.FileField):
            raise GraphError(PARAMETER, "file: missing")
        if file.content_type != form.get("type"):
            raise GraphError(PARAMETER, "type: not that of the file")
        content = file.file.read()
        require_kind(file.content_type, len(content))
        return web.json_response({"id": self._media.add(content, file.content_type).id})

    def _require_window(self, asked: Send | MarkRead) -> None:
        """Refuse anything but a template, 24 hours after the citizen last wrote."""
        if self.windows is None or not isinstance(asked, Send):
            return
        if asked.type != "template" and not self.windows.is_open(_wa_id(asked.person)):
            raise GraphError(
                _WINDOW_CLOSED,
                "Message failed to send because more than"
                " 24 hours have passed since the customer last replied",
            )

    def _require_template(self, asked: Send | MarkRead) -> None:
        """Refuse what is not approved, if it is known what is."""
        template = asked.template if isinstance(asked, Send) else None
        if template is None or self.templates is None:
            return
        expected = self.templates.get((template.name, template.language.code))
        if expected is None:
            raise GraphError(_NO_TEMPLATE, f"{template.name}: not in this language")
        if expected != len(template.texts):
            text = f"body: number of localizable_params ({len(template.texts)})"
            raise GraphError(_OTHER_PARAMETERS, text)
        if any(_UNWANTED.search(text) for text in template.texts):
            raise GraphError(
                PARAMETER,
                "Param text cannot have new-line/tab characters"
                " or more than 4 consecutive spaces",
            )

    def _require_media(self, asked: Send | MarkRead) -> None:
        """Refuse a file that is not there, or that is of another kind."""
        if not isinstance(asked, Send) or asked.media is None or asked.media.id is None:
            return
        medium = self._media.get(asked.media.id)
        if medium is None:
            text = f"media id {asked.media.id} does not exist"
            raise GraphError(PARAMETER, text)
        require_kind(medium.mime_type, len(medium.content), asked.type)

    async def _object(self, request: web.Request) -> web.StreamResponse:
        """Show the number, or a file's metadata."""
        self._authorise(request)
        found = request.match_info["id"]
        if found == self._phone_number_id:
            return web.json_response(
                {"id": found, "verified_name": "Simulator", "quality_rating": "GREEN"}
            )
        medium = self._media.get(found)
        asked_for = request.query.get("phone_number_id", self._phone_number_id)
        if medium is None or asked_for != self._phone_number_id:
            raise _nothing(found)
        url = request.url.origin() / "media" / self._media.address(medium)
        return web.json_response(medium.metadata(str(url)))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """Stream a file, slice by slice, to who has the token."""
        if not self._is_known(request):
            raise web.HTTPUnauthorized
        medium = self._media.at(request.match_info["key"])
        if medium is None:
            raise web.HTTPNotFound
        response = web.StreamResponse(headers={"Content-Type": medium.mime_type})
        response.content_length = len(medium.content)
        await response.prepare(request)
        whole = memoryview(medium.content)
        for start in range(0, len(whole), _CHUNK):
            await response.write(whole[start : start + _CHUNK])
        await response.write_eof()
        return response

    def _is_known(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())

    def _authorise(self, request: web.Request) -> None:
        if not self._is_known(request):
            text = "Invalid OAuth access token - Cannot parse access token"
            raise GraphError(_TOKEN, text, status=401)

    def _require_number(self, found: str) -> None:
        if found != self._phone_number_id:
            raise _nothing(found)


def _decoded(raw: bytes) -> Payload:
    try:
        return Payload.from_json(raw)
    except PayloadError as error:
        raise GraphError(100, str(error)) from None


def _answer(asked: Send, wamid: str) -> dict[str, Any]:
    """Return ``MessageResponsePayload`` of Meta's schema."""
    person = asked.person
    key = "user_id" if is_bsuid(person) else "wa_id"
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": person, key: _wa_id(person)}],
        "messages": [{"id": wamid}],
    }


def _wa_id(person: str) -> str:
    """Return the canonical id: digits only, a BSUID as it is."""
    return person if is_bsuid(person) else _NOT_DIGIT.sub("", person)


def _nothing(found: str) -> GraphError:
    code, subcode = _NOTHING_THERE
    text = f"Unsupported request. Object with ID '{found}' does not exist"
    return GraphError(code, text, subcode=subcode)


def _pause(retry_after: int | None) -> dict[str, str]:
    return {} if retry_after is None else {"Retry-After": str(retry_after)}


@web.middleware
async def _told_by_meta(
    request: web.Request,
    handler: Callable[[web.Request], Any],
) -> web.StreamResponse:
    """Answer an error in Meta's shape."""
    try:
        response: web.StreamResponse = await handler(request)
    except GraphError as error:
        return web.json_response(
            error.body(), status=error.status, headers=_pause(error.retry_after)
        )
    return response
