"""The channel ``open311``: a GeoReport v2 server for the city's app."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from gateway.channel import Channel, RouteDef
from gateway.model import (
    Address,
    Assignment,
    CaseView,
    ChannelId,
    Grounds,
    Inbound,
    Item,
    Message,
    MessageId,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Semantics,
    ServiceId,
)
from gateway.plugin import Context
from gateway_delivery.open311_server import report as reports
from gateway_delivery.open311_server import search, showing
from gateway_delivery.open311_server.config import Open311ServerConfig, ReportedService
from gateway_delivery.open311_server.refused import Refused
from gateway_delivery.open311_server.rendering import Document, respond
from gateway_delivery.open311_server.words import KeptWords
from gateway_delivery.texts import Texts

SCHEME: Final = "open311"
_FORM: Final = "application/x-www-form-urlencoded"
_REQUESTS: Final = "service_requests"
_FORMS: Final = "{form:json|xml}"

_Answer = Callable[[web.Request], Awaitable[Document]]


class Open311Channel(Channel[Open311ServerConfig]):
    """Takes reports of programs that have a key, and shows what became of them.

    Each report is a contact of its own, whose address is the report's token: nobody
    has proven who they are. Keyed: what is told them is kept until it is asked for.
    """

    semantics = Semantics.KEYED

    def __init__(
        self, channel_id: ChannelId, config: Open311ServerConfig, context: Context[Any]
    ) -> None:
        """Serve as ``config`` says; open nothing."""
        super().__init__(channel_id, config, context)
        self._services = {each.code: each for each in config.services}
        self._names = {each.code: each.name for each in config.services}
        self._kept = KeptWords(context.state)
        self._since = context.clock.now()

    @cached_property
    def _words(self) -> Texts:
        return Texts(self.context.language)

    def routes(self) -> Iterable[RouteDef]:
        """Serve what GeoReport v2 wants, each as ``.json`` and ``.xml``."""
        for method, path, answer in (
            ("GET", "discovery", self._discover),
            ("GET", "services", self._list_services),
            ("GET", "services/{code}", self._define),
            ("POST", "requests", self._post),
            ("GET", "requests", self._list),
            ("GET", "requests/{id}", self._show),
            ("GET", "tokens/{token}", self._redeem),
        ):
            handler = _in_form(answer)
            yield RouteDef(method=method, path=f"{path}.{_FORMS}", handler=handler)

    # What can be reported

    async def _discover(self, request: web.Request) -> Document:
        del request
        if self.config.base_url is None:
            raise _unknown("discovery")
        return Document("discovery", showing.discovery(self.config, self._since))

    async def _list_services(self, request: web.Request) -> Document:
        self._require_city(request.query)
        services = [showing.service(each) for each in self.config.services]
        return Document("services", services)

    async def _define(self, request: web.Request) -> Document:
        self._require_city(request.query)
        service = self._service(request.match_info["code"])
        return Document("service_definition", showing.definition(service))

    # Reports

    async def _post(self, request: web.Request) -> Document:
        """Store a report, then acknowledge it by its token."""
        fields = reports.fields_of(await _body(request))
        if not self._knows(fields):
            raise _no_key()
        self._require_city(fields)
        service = self._service(fields.get("service_code", ""))
        reports.check(fields)
        token = f"{service.code}.{secrets.token_urlsafe(16)}"
        item = Item(external_id=token, sender=token)
        await self.context.inbox.accept(self.id, reports.body_of(fields), [item])
        taken = {"token": token, "service_notice": None, "account_id": None}
        return Document(_REQUESTS, [taken], HTTPStatus.CREATED)

    async def _redeem(self, request: web.Request) -> Document:
        """Say which request a token has become, once it has."""
        self._require_city(request.query)
        token = request.match_info["token"]
        if not search.is_id(token):
            raise _unknown("token")
        found = await self.context.cases.of_items(self.id, [token])
        if token not in found:
            raise _unknown("token")
        view = found[token]
        if view is not None:
            known = {"service_request_id": view.number, "token": token}
            return Document(_REQUESTS, [known])
        # It is being read, or was held or rejected: then we have said so.
        now = self.context.clock.now()
        notice = (await self._kept.of([token], now))[token].notice
        said = {"service_notice": notice.text} if notice else {}
        return Document(_REQUESTS, [{"token": token, **said}])

    async def _list(self, request: web.Request) -> Document:
        private, now = self._may_read(request.query), self.context.clock.now()
        if "service_request_id" in request.query:
            ids = search.ids_of(request.query)
            views = await self.context.cases.numbered(self.id, ids)
            return await self._shown(views, now, private=private)
        wanted = search.read(request.query, now, self._services)
        views = await self.context.cases.opened(
            self.id,
            wanted.since,
            wanted.until,
            closed=wanted.closed,
            prefixes=[f"{code}." for code in wanted.codes],
            most=search.MOST,
        )
        return await self._shown(views, now, private=private)

    async def _show(self, request: web.Request) -> Document:
        private, now = self._may_read(request.query), self.context.clock.now()
        number = request.match_info["id"]
        ids = [number] if search.is_id(number) else []
        views = await self.context.cases.numbered(self.id, ids)
        if not views:
            raise _unknown("service_request_id")
        return await self._shown(views, now, private=private)

    async def _shown(
        self, views: Sequence[CaseView], asked_at: datetime, *, private: bool
    ) -> Document:
        tokens = [view.item.external_id for view in views]
        words = await self._kept.of(tokens, asked_at)
        rows = [
            showing.request(
                view,
                words[view.item.external_id],
                self._names,
                self.context.service_names,
                private=private,
            )
            for view in views
        ]
        return Document(_REQUESTS, rows)

    # Who may

    def _knows(self, fields: Mapping[str, str]) -> bool:
        """Tell whether a request bears one of our keys."""
        given = fields.get(reports.KEY, "").encode("utf-8", "replace")
        known = False
        for key in self.config.api_keys:
            known |= hmac.compare_digest(key.get_secret_value().encode(), given)
        return known

    def _may_read(self, query: Mapping[str, str]) -> bool:
        """Tell whether all may be shown, or only what is published.

        Raises:
            Refused: nothing is published, the key is wrong, another city is meant.

        """
        private = self._knows(query)
        if not private and (reports.KEY in query or not self.config.publish):
            raise _no_key()
        self._require_city(query)
        return private

    def _require_city(self, fields: Mapping[str, str]) -> None:
        ours = self.config.jurisdiction_id
        if ours and fields.get("jurisdiction_id", ours) != ours:
            raise _unknown("jurisdiction_id")

    def _service(self, code: str) -> ReportedService:
        if not code:
            raise Refused(HTTPStatus.BAD_REQUEST, "service_code was not provided")
        if code not in self._services:
            raise _unknown("service_code")
        return self._services[code]

    # The stream

    def parse(self, inbound: Inbound) -> Message:
        """Read a stored report.

        Raises:
            PayloadError: it can't be read; it is kept and shown to staff.

        """
        body = inbound.original.body
        report = reports.read(body)
        code = showing.code_of(inbound.external_id)
        name = self._names.get(code, code)
        return Message(
            id=MessageId(inbound.id),
            channel=self.id,
            external_id=inbound.external_id,
            sender=Address(SCHEME, inbound.external_id),
            sent_at=inbound.original.received_at,
            received_at=inbound.original.received_at,
            text=reports.text_of(body, report, name, self._words),
            location=report.location,
            classification=code,
        )

    def assign(self, message: Message) -> Assignment | None:
        """Return the service of the kind that was reported; None if it names none."""
        code = showing.code_of(message.external_id)
        kind = self._services.get(code)
        if kind is None or kind.service is None:
            return None
        return Assignment(
            service=ServiceId(kind.service),
            reason=f"service_code {code}",
            source=SCHEME,
            chosen=True,
            grounds=Grounds(layer="choice", conditions=(f"service_code: {code}",)),
        )

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Keep what is said until the program asks: nothing can be pushed."""
        await self._kept.keep(outgoing)
        return Receipt(
            status=ReceiptStatus.SENT,
            at=self.context.clock.now(),
            external_id=outgoing.delivery_id,
        )


def _in_form(answer: _Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answer in the form that the address ends with, refusals too."""

    async def handle(request: web.Request) -> web.Response:
        try:
            document = await answer(request)
        except Refused as error:
            errors = [{"code": int(error.status), "description": str(error)}]
            document = Document("errors", errors, error.status)
        return respond(document, request.match_info["form"])

    return handle


async def _body(request: web.Request) -> bytes:
    if request.content_type != _FORM:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body must be {_FORM}")
    try:
        body = await request.read()
    except web.RequestPayloadError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is broken off") from None
    if len(body) > reports.MOST_BYTES:
        text = f"at most {reports.MOST_BYTES} bytes"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    return body


def _no_key() -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, "api_key is missing or not valid")


def _unknown(what: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"{what} was not found")
