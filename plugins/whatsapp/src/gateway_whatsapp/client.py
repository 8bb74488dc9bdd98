"""The Graph API: the only module that touches the network.

Sources: Meta, *Cloud API: messages, media, phone numbers*. There is no idempotency
key: a time-out after sending leaves the outcome unknown, and a status that carries
``biz_opaque_callback_data`` (our delivery id) tells it later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from yarl import URL

from gateway.clock import Clock
from gateway.connections import explain
from gateway.errors import AttachmentError, DeliveryError, PayloadError
from gateway.model import (
    Enclosure,
    Health,
    Outgoing,
    Receipt,
    ReceiptStatus,
)
from gateway.payload import Payload
from gateway_whatsapp.account import Account, down
from gateway_whatsapp.config import WhatsAppConfig, is_safe
from gateway_whatsapp.content import MEDIA_ID
from gateway_whatsapp.errors import (
    Refusal,
    attachment_error,
    delivery_error,
    rule_of,
)
from gateway_whatsapp.render import (
    is_closed,
    media_kind,
    render,
    render_media,
    render_read,
    render_template,
)
from gateway_whatsapp.versions import is_version

_CHUNK = 64 * 1024
_OCTETS_PER_SECOND = 100_000
"""The slowest line on which a file may be uploaded in time."""
_LONGEST_PAUSE = 24 * 3600
_WINDOW_CLOSED = "131047"
_NOTHING = 100
_MARKED: Final[dict[str, set[str]]] = {
    "answer": {"answer"},
    "notice": {"answer", "notice", "rejection"},
    "never": set(),
}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_EXPIRED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *_GONE}
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
# Meta's file servers refuse some clients by their name.
_AGENT = {"User-Agent": "Mozilla/5.0 (compatible; municipal-gateway)"}


class CloudApi:
    """One number at the Cloud API, reached through the gateway's shared session."""

    def __init__(
        self,
        config: WhatsAppConfig,
        http: aiohttp.ClientSession,
        clock: Clock,
        account: Account,
    ) -> None:
        """Keep what is needed; nothing is opened."""
        self._config = config
        self._http = http
        self._clock = clock
        self._account = account
        self.served = ""

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Send something, as a template once Meta takes nothing else.

        Returns Meta's id of it.

        Raises:
            DeliveryError: not taken, or whether it was taken is unknown.

        """
        if outgoing.last_code == _WINDOW_CLOSED or is_closed(
            outgoing, self._clock.now()
        ):
            return await self._post_template(outgoing)
        await self._mark_read(outgoing)
        body = await self._body(outgoing)
        try:
            return await self._post(outgoing, body)
        except DeliveryError as error:
            if error.code != _WINDOW_CLOSED:
                raise
        # Meta counts from its own clock.
        return await self._post_template(outgoing)

    async def _mark_read(self, outgoing: Outgoing) -> None:
        """Show the citizen that what we answer was read, and that we are writing.

        Only a courtesy: whatever goes wrong, the answer goes out.
        """
        marks = _MARKED[self._config.read_marks]
        if outgoing.quote is None or outgoing.purpose not in marks:
            return
        body = render_read(outgoing.quote)
        url = URL(f"{self._number}/messages")
        brief = aiohttp.ClientTimeout(total=self._config.timeout / 4)
        with contextlib.suppress(*_BROKEN):
            async with await self._request(
                "POST", url, json=body, timeout=brief
            ) as response:
                await response.read()

    async def _body(self, outgoing: Outgoing) -> dict[str, Any]:
        if not outgoing.enclosures:
            return render(outgoing)
        (enclosure,) = outgoing.enclosures
        return render_media(outgoing, await self._upload(enclosure, outgoing.attempt))

    async def _post_template(self, outgoing: Outgoing) -> Receipt:
        body = render_template(outgoing, self._config.templates)
        return replace(await self._post(outgoing, body), by_template=True)

    async def _post(self, outgoing: Outgoing, body: dict[str, Any]) -> Receipt:
        url = f"{self._number}/messages"
        try:
            async with await self._request("POST", URL(url), json=body) as response:
                return await self._read_sent(response, outgoing)
        except _NOT_SENT as error:
            raise self._unreachable(error) from error
        except _BROKEN as error:
            raise self._lost(error) from error

    @property
    def _number(self) -> str:
        return f"{self._config.base_url}/{self._config.phone_number_id}"

    async def _upload(self, enclosure: Enclosure, attempt: int) -> str:
        """Upload a file; return Meta's id of it. Nobody sees it, so it may be repeated.

        Raises:
            DeliveryError: Meta does not take it, now or ever.

        """
        media_kind(enclosure)
        try:
            file = await asyncio.to_thread(enclosure.path.open, "rb")
        except OSError as error:
            text = f"file {enclosure.sha256[:12]}: {type(error).__name__}"
            raise DeliveryError("enclosure_unreadable", text, retryable=True) from None
        form = aiohttp.FormData()
        form.add_field("messaging_product", "whatsapp")
        form.add_field("type", enclosure.media_type)
        form.add_field(
            "file", file, filename=enclosure.name, content_type=enclosure.media_type
        )
        seconds = self._config.timeout
        patience = aiohttp.ClientTimeout(
            total=seconds + enclosure.size / _OCTETS_PER_SECOND, connect=seconds / 2
        )
        url = URL(f"{self._number}/media")
        try:
            async with await self._request(
                "POST", url, data=form, timeout=patience
            ) as response:
                raw = await response.read()
                if response.status != HTTPStatus.OK:
                    refusal = self._refused(response, raw)
                    raise delivery_error(refusal, attempt, sending=False)
                return Payload.from_json(raw).text("id")
        except _BROKEN as error:
            raise self._unreachable(error) from error
        except PayloadError as error:
            text = f"uploaded, but the answer can't be read: {error}"
            raise DeliveryError("unreadable_answer", text, retryable=True) from error
        finally:
            file.close()

    async def _read_sent(
        self, response: aiohttp.ClientResponse, outgoing: Outgoing
    ) -> Receipt:
        raw = await response.read()
        if response.status != HTTPStatus.OK:
            refusal = self._refused(response, raw)
            raise delivery_error(refusal, outgoing.attempt)
        self._account.answered()
        try:
            wamid = Payload.from_json(raw).find("messages[0]").text("id")
        except PayloadError as error:
            text = f"taken, but the answer can't be read: {error}"
            raise DeliveryError(
                "unreadable_answer", text, retryable=True, unknown=True
            ) from error
        return Receipt(
            status=ReceiptStatus.SENT,
            at=self._clock.now(),
            external_id=wamid,
            delivery_id=outgoing.delivery_id,
        )

    async def download(self, media_id: str) -> AsyncIterator[bytes]:
        """Stream a file; its address is good for 5 minutes, so it is asked for first.

        Raises:
            AttachmentError: it can't be had, now or ever.

        """
        try:
            async with await self._open_media(media_id) as response:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    yield chunk
        except _BROKEN as error:
            self._account.unreachable(error)
            kind = type(error).__name__
            raise AttachmentError("interrupted", kind, retryable=True) from error

    async def _open_media(self, media_id: str) -> aiohttp.ClientResponse:
        """Open the file; an address that has expired is asked for once more."""
        response = await self._get_media(await self._media_url(media_id))
        if response.status in _EXPIRED:
            response.release()
            response = await self._get_media(await self._media_url(media_id))
        if response.status == HTTPStatus.OK:
            return response
        response.release()
        if response.status in _GONE:
            # Its id is still known, or there would have been no address.
            text = f"Meta does not find the file for now (HTTP {response.status})"
            raise AttachmentError("media_not_found", text, retryable=True)
        raise attachment_error(_refusal(response, b""))

    async def _media_url(self, media_id: str) -> URL:
        """Ask where a file is."""
        if not MEDIA_ID.fullmatch(media_id):
            raise AttachmentError("bad_media_id", "no media id", retryable=False)
        url = URL(f"{self._config.base_url}/{media_id}").with_query(
            phone_number_id=self._config.phone_number_id
        )
        async with await self._request("GET", url) as response:
            raw = await response.read()
            if response.status != HTTPStatus.OK:
                raise attachment_error(self._refused(response, raw))
        self._account.answered()
        try:
            return self._allowed(URL(Payload.from_json(raw).text("url")))
        except (PayloadError, ValueError) as error:
            text = "Meta's answer holds no address of the file"
            raise AttachmentError("no_media_url", text, retryable=True) from error

    def _allowed(self, url: URL) -> URL:
        """Return ``url`` if our token may go there.

        Raises:
            AttachmentError: the host is not one that Meta serves files from.

        """
        host = url.host or ""
        known = any(
            host == allowed or host.endswith(f".{allowed}")
            for allowed in self._config.media_hosts
        )
        if not known or not is_safe(url):
            text = f"{url.scheme}://{host} is not among media_hosts"
            raise AttachmentError("media_host", text, retryable=False)
        return url

    async def _get_media(self, url: URL) -> aiohttp.ClientResponse:
        seconds = self._config.timeout
        timeout = aiohttp.ClientTimeout(
            total=None, connect=seconds / 2, sock_read=seconds
        )
        headers = {**_AGENT, "Accept-Encoding": "identity"}
        return await self._request("GET", url, headers=headers, timeout=timeout)

    async def ask(self, key: str, path: str = "", **query: str) -> Payload | Health:
        """Ask for the object that ``key`` of the configuration names; send nothing.

        Returns why it can't be had if Meta does not tell.
        """
        url = URL(f"{self._config.base_url}/{getattr(self._config, key)}{path}")
        try:
            async with await self._request("GET", url % query) as response:
                raw = await response.read()
                if response.status != HTTPStatus.OK:
                    return _told(self._refused(response, raw), key)
                self._account.answered()
                found = Payload.from_json(raw)
                return (
                    found if isinstance(found.value, dict) else found.refuse("object")
                )
        except _BROKEN as error:
            self._account.unreachable(error)
            return down(self._account.health.text)
        except PayloadError as error:
            return down(f"what answers at base_url is not Meta ({error})")

    async def call(
        self, method: str, edge: str, body: dict[str, Any]
    ) -> tuple[Refusal | None, bytes]:
        """Do with our number what may be done twice; return what Meta says to it.

        A refusal is not held against the account yet.

        Raises:
            DeliveryError: there is no answer.

        """
        url = URL(f"{self._number}/{edge}")
        try:
            async with await self._request(method, url, json=body) as response:
                raw = await response.read()
        except _BROKEN as error:
            raise self._unreachable(error) from error
        if response.status != HTTPStatus.OK:
            return _refusal(response, raw), raw
        self._account.answered()
        return None, raw

    async def _request(
        self, method: str, url: URL, **options: Any
    ) -> aiohttp.ClientResponse:
        """Ask with our token, and follow nobody elsewhere with it.

        Connecting gets half of the time: when the whole has run out, the request had
        gone out.
        """
        seconds = self._config.timeout
        token = self._config.token.get_secret_value()
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {token}"}
        whole = aiohttp.ClientTimeout(total=seconds, connect=seconds / 2)
        options.setdefault("timeout", whole)
        response = await self._http.request(
            method, url, headers=headers, allow_redirects=False, **options
        )
        self._note_version(url, response)
        return response

    def _note_version(self, url: URL, response: aiohttp.ClientResponse) -> None:
        """Note which version Meta served: of one that has ended, it is another."""
        served = response.headers.get("facebook-api-version", "")
        if is_version(served) and str(url).startswith(self._config.base_url):
            self.served = served

    def _refused(self, response: aiohttp.ClientResponse, raw: bytes) -> Refusal:
        """Read a refusal, and what it says about our account."""
        refusal = _refusal(response, raw)
        self._account.refused(refusal)
        return refusal

    def _unreachable(self, error: BaseException) -> DeliveryError:
        """Return what it means that no connection came about."""
        self._account.unreachable(error)
        return DeliveryError("unreachable", explain(error), retryable=True)

    def _lost(self, error: BaseException) -> DeliveryError:
        """Return what it means that the request went out and no answer came."""
        self._account.unreachable(error)
        kind = type(error).__name__
        return DeliveryError("no_answer", kind, retryable=True, unknown=True)


def _refusal(response: aiohttp.ClientResponse, raw: bytes) -> Refusal:
    """Read Meta's error; what has another shape has no code."""
    code, transient = None, False
    try:
        error = Payload.from_json(raw).get("error")
        code = error.integer("code")
        transient = error.flag("is_transient")
    except PayloadError:
        pass
    return Refusal(
        status=response.status,
        code=code,
        transient=transient,
        retry_after=_retry_after(response.headers.get("Retry-After", "")),
    )


def _told(refusal: Refusal, key: str) -> Health:
    """Say why what ``key`` names can't be had."""
    if refusal.code == _NOTHING:
        text = f"{key}: an id names nothing that this token may see, check both"
        return down(text)
    return down(rule_of(refusal).text)


def _retry_after(value: str) -> float | None:
    """Read seconds; the other form, a date, Meta does not use."""
    if not (value.isascii() and value.isdigit()):
        return None
    return float(min(int(value[:9]), _LONGEST_PAUSE))
