"""``POST /{phone-number-id}/messages``: taken, or refused as Meta refuses it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.clock import Clock
from gateway.payload import Payload
from gateway_whatsapp.people import is_bsuid
from gateway_whatsapp.simulator.account import Account
from gateway_whatsapp.simulator.citizens import Citizens, canonical
from gateway_whatsapp.simulator.failing import fail, next_of
from gateway_whatsapp.simulator.faults import Faults, GraphError
from gateway_whatsapp.simulator.ledger import Attempt, Ledger, ReadMark, SentMessage
from gateway_whatsapp.simulator.limits import Limits
from gateway_whatsapp.simulator.media import MediaLibrary, require_kind
from gateway_whatsapp.simulator.payloads import new_wamid
from gateway_whatsapp.simulator.schema import MarkRead, Send, read_request
from gateway_whatsapp.simulator.strict import PARAMETER, WRONG

_WINDOW_CLOSED, _UNDELIVERABLE = 131047, 131026
_UNWANTED = re.compile(r"[\n\t]| {5}")


@dataclass(slots=True, kw_only=True)
class Sending:
    """Takes messages; ``on_accepted`` is awaited with each before it is answered.

    ``windows``: whether the 24-hour windows are kept.
    """

    account: Account
    clock: Clock
    ledger: Ledger
    media: MediaLibrary
    citizens: Citizens
    limits: Limits
    faults: Faults
    stopped: asyncio.Event
    on_accepted: Callable[[SentMessage], Awaitable[None]]
    windows: bool = False

    async def post(self, request: web.Request, body: Payload) -> web.StreamResponse:
        """Take a message, or fail as scripted.

        Raises:
            GraphError: as Meta refuses it.

        """
        number = request.match_info["id"]
        try:
            self.account.require_number(number)
            asked = read_request(body)
            if isinstance(asked, MarkRead):
                return await self._mark(body, asked)
            self._require(number, asked)
        except GraphError as error:
            await self._write(body, f"refused: {error.code}")
            raise
        return await self._take(request, body, asked)

    def _require(self, number: str, asked: Send) -> None:
        self._require_media(asked)
        self._require_reachable(number, asked)
        self._require_template(asked)
        self.limits.count(number, canonical(asked.person))

    async def _mark(self, body: Payload, asked: MarkRead) -> web.StreamResponse:
        if not self.citizens.sent(asked.message_id):
            raise GraphError(WRONG, "message_id: no message that was received")
        mark = ReadMark(
            at=self.clock.now(),
            message_id=asked.message_id,
            typing=asked.typing_indicator is not None,
        )
        self.ledger.read_marks.append(mark)
        await self._write(body, "marked as read")
        return web.json_response({"success": True})

    async def _take(
        self, request: web.Request, body: Payload, asked: Send
    ) -> web.StreamResponse:
        fault = next_of(self.faults.send)
        number = request.match_info["id"]
        if fault is None:
            sent = await self._accept(body, number, asked, "accepted")
            return web.json_response(_answer(asked, sent.wamid))
        if fault.accepted:
            outcome = f"accepted: {fault.answer.value}"
            await self._accept(body, number, asked, outcome)
        else:
            await self._write(body, f"not accepted: {fault.answer.value}")
        return await fail(request, fault, self.stopped)

    async def _accept(
        self, body: Payload, number: str, asked: Send, outcome: str
    ) -> SentMessage:
        sent = self._sent(number, asked)
        await self._write(body, outcome, sent)
        await self.on_accepted(sent)
        return sent

    async def _write(
        self, body: Payload, outcome: str, sent: SentMessage | None = None
    ) -> None:
        attempt = Attempt(at=self.clock.now(), body=body.value, outcome=outcome)
        await self.ledger.write(attempt, sent)

    def _sent(self, number: str, asked: Send) -> SentMessage:
        media, template, menu = asked.media, asked.template, asked.interactive
        place, reaction = asked.location, asked.reaction
        return SentMessage(
            at=self.clock.now(),
            wamid=new_wamid(),
            phone_number_id=number,
            to=canonical(asked.person),
            number=self.citizens.number_of(canonical(asked.person)),
            type=asked.type,
            text=asked.words,
            biz_opaque_callback_data=asked.biz_opaque_callback_data,
            context_id=asked.context.message_id if asked.context else None,
            media_id=media.id if media else None,
            filename=media.filename if media else None,
            template=template.name if template else None,
            parameters=tuple(template.texts) if template else (),
            interactive=menu.type if menu else None,
            menu=menu.options if menu else (),
            location=(place.latitude, place.longitude) if place else None,
            reaction=reaction.emoji if reaction else None,
            reaction_to=reaction.message_id if reaction else None,
        )

    def _require_reachable(self, number: str, asked: Send) -> None:
        """Refuse the blocked, and after 24 hours anything but a template."""
        person = canonical(asked.person)
        if self.citizens.is_blocked(number, person):
            # Meta says that it is an error, but not which.
            raise GraphError(_UNDELIVERABLE, "Message undeliverable: user is blocked")
        windowless = asked.type == "template" or not self.windows
        if not windowless and not self.citizens.is_open(person):
            raise GraphError(
                _WINDOW_CLOSED,
                "Message failed to send because more than"
                " 24 hours have passed since the customer last replied",
            )

    def _require_template(self, asked: Send) -> None:
        """Refuse a template that is not approved, or what may not stand in one."""
        template = asked.template
        if template is None or self.account.templates is None:
            return
        self.account.require_template(template)
        if any(_UNWANTED.search(text) for text in template.texts):
            raise GraphError(
                PARAMETER,
                "Param text cannot have new-line/tab characters"
                " or more than 4 consecutive spaces",
            )

    def _require_media(self, asked: Send) -> None:
        """Refuse a file that is not there, or that is of another kind."""
        if asked.media is None or asked.media.id is None:
            return
        medium = self.media.get(asked.media.id)
        if medium is None:
            text = f"media id {asked.media.id} does not exist"
            raise GraphError(PARAMETER, text)
        require_kind(medium.mime_type, len(medium.content), asked.type)


def _answer(asked: Send, wamid: str) -> dict[str, Any]:
    """Return ``MessageResponsePayload`` of Meta's schema."""
    person = asked.person
    key = "user_id" if is_bsuid(person) else "wa_id"
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": person, key: canonical(person)}],
        "messages": [{"id": wamid}],
    }
