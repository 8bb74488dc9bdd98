"""A GeoReport v2 server, asked in JSON."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote

from gateway.errors import DeliveryError, PayloadError
from gateway.payload import Payload
from gateway.plugin import Context
from gateway_delivery.calling import Answer, call, require_success, trusted
from gateway_delivery.config import Open311Config
from gateway_delivery.open311 import report
from gateway_delivery.open311.report import Accepted, Update

ReadT = TypeVar("ReadT")

MOST: Final = 1000
"""As many requests a server has to list at least before it may stop (GeoReport v2)."""
REALTIME: Final = "realtime"


class Server:
    """One server, and what this connector's account may ask of it."""

    def __init__(self, config: Open311Config, context: Context[Any]) -> None:
        """Ask as ``config`` says."""
        self._config = config
        self._context = context

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return trusted(self._config.cafile)

    async def post(self, fields: Mapping[str, str]) -> Accepted:
        """Report.

        Raises:
            DeliveryError: not taken, or whether it was taken is unknown.

        """
        answer = await self._call("POST", "requests.json", data=fields)
        require_success(answer, report.read_reason(answer.body))
        try:
            return report.read_accepted(answer.body)
        except PayloadError as error:
            text = f"taken, but the answer can't be read: {error}"
            raise DeliveryError(
                "unreadable_answer", text, retryable=True, unknown=True
            ) from error

    async def request_of(self, token: str) -> str:
        """Return the id of the request that a token stands for; "" if not known yet.

        Raises:
            DeliveryError: the server does not say.

        """
        path = f"tokens/{quote(token, safe='')}.json"
        answer = await self._call("GET", path, params=self._common())
        if answer.status == HTTPStatus.NOT_FOUND:
            return ""
        return (await self._read(answer, report.read_accepted)).request

    async def updates(self, requests: Sequence[str]) -> list[Update]:
        """Return how requests stand.

        Raises:
            DeliveryError: the server does not say.

        """
        wanted = {"service_request_id": ",".join(requests)}
        answer = await self._call(
            "GET", "requests.json", params=self._common() | wanted
        )
        return await self._read(answer, report.read_updates)

    async def reported(self, since: datetime, until: datetime) -> list[Update]:
        """Return what was reported under our service code in a time.

        Raises:
            DeliveryError: the server does not say.

        """
        wanted = {
            "service_code": self._config.service_code,
            "start_date": f"{since:%Y-%m-%dT%H:%M:%SZ}",
            "end_date": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        }
        answer = await self._call(
            "GET", "requests.json", params=self._common() | wanted
        )
        return await self._read(answer, report.read_updates)

    async def kind(self) -> str | None:
        """Return the type of our service: ``realtime``, ``batch``, ``blackbox``.

        None if the server has no such service.

        Raises:
            DeliveryError: the server does not say.

        """
        answer = await self._call("GET", "services.json", params=self._common())
        kinds = await self._read(answer, _kinds)
        return kinds.get(self._config.service_code)

    async def required(self) -> set[str]:
        """Return the codes of the attributes that our service requires.

        Raises:
            DeliveryError: the server does not say.

        """
        code = quote(self._config.service_code, safe="")
        answer = await self._call("GET", f"services/{code}.json", params=self._common())
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
            # It has no definition: nothing is required.
            return set()
        return await self._read(answer, _required)

    def _common(self) -> dict[str, str]:
        key = self._config.api_key
        return {
            name: value
            for name, value in (
                ("jurisdiction_id", self._config.jurisdiction_id),
                ("api_key", key.get_secret_value() if key else ""),
            )
            if value
        }

    async def _call(self, method: str, path: str, **options: Any) -> Answer:
        return await call(
            self._context,
            method,
            f"{self._config.base_url.rstrip('/')}/{path}",
            timeout=self._config.timeout,
            tls=self._tls,
            **options,
        )

    async def _read(self, answer: Answer, read: Callable[[bytes], ReadT]) -> ReadT:
        require_success(answer, report.read_reason(answer.body))
        try:
            return read(answer.body)
        except PayloadError as error:
            text = f"the answer can't be read: {error}"
            raise DeliveryError("unreadable_answer", text, retryable=True) from error


def _kinds(body: bytes) -> dict[str, str]:
    services = Payload.from_json(body)
    return {
        str(each.get("service_code").value): each.text_or("type", REALTIME)
        for each in services
    }


def _required(body: bytes) -> set[str]:
    definition = Payload.from_json(body)
    if isinstance(definition.value, list):
        definition = next(iter(definition), definition)
    attributes = definition.items_or_none("attributes")
    return {a.text("code") for a in attributes if a.flag("required")}
