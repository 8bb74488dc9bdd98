"""A whole gateway whose city has an app, and that app."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
from defusedxml.ElementTree import fromstring
from delivery_town import Town
from gateway_delivery import DeliveryPlugin

from gateway.plugin import Plugin
from gateway.store import schema
from gateway.testing.kit import running

KEY, OLD_KEY = "una-chiave-di-prova", "la-chiave-di-prima"
CITY = "comune.example.it"
PLACE = {"lat": "39.2153", "long": "9.1107"}
REPORT = {"service_code": "001", "description": "C'è una buca.", **PLACE}

TOML = """
[gateway]
name = "Prova"
plugins = [{plugins}]
default_service = "urp"
{gateway}
[store]
url = "{url}"
data = "{data}"
[web]
port = 0
min_free_bytes = 0
[outbox]
backoff_seconds = 0.05
backoff_cap_seconds = 0.2
[pipeline]
poll_seconds = 0.05
[channels.app]
type = "open311"
jurisdiction_id = "comune.example.it"
api_keys = [{{ env = "APP_KEY" }}, {{ env = "OLD_APP_KEY" }}]
{app}
[[channels.app.services]]
code = "001"
name = "Buche"
service = "strade"
group = "Strade"
keywords = ["buca", "asfalto"]
[[channels.app.services]]
code = "0_1"
name = "Rifiuti"
service = "rifiuti"
description = "Cassonetti"
[channels.sistemi]
type = "services"
poll_seconds = 0.05
[services.urp]
name = "URP"
connectors = [{{ type = "maildrop", path = "{data}/urp", answers = true }}]
[services.strade]
name = "Strade"
connectors = [{{ type = "maildrop", path = "{data}/strade", answers = true }}]
deadline_hours = 9
[services.rifiuti]
name = "Rifiuti"
connectors = [{{ type = "maildrop", path = "{data}/rifiuti", answers = true }}]
"""


@dataclass(slots=True)
class App:
    """The city's app, as a client of the gateway."""

    town: Town
    http: aiohttp.ClientSession
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.town.gateway.port}/channels/app"

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        """Ask with the key; return status and JSON."""
        return await self.ask(path, {"api_key": KEY, **query})

    async def ask(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        """Ask; return status and JSON."""
        async with self.http.get(f"{self.url}/{path}", params=query) as response:
            assert "application/json" == response.content_type
            return response.status, orjson.loads(await response.read())

    async def xml(self, path: str, **query: str) -> tuple[int, Any]:
        """Ask with the key; return status and the root of the XML."""
        params = {"api_key": KEY, **query}
        async with self.http.get(f"{self.url}/{path}", params=params) as response:
            assert "text/xml" == response.content_type
            return response.status, fromstring(await response.read())

    async def post(self, **fields: str) -> tuple[int, Any]:
        """Report with the key; return status and JSON."""
        return await self.send(urlencode({"api_key": KEY, **fields}).encode())

    async def send(
        self, body: bytes, kind: str = "application/x-www-form-urlencoded"
    ) -> tuple[int, Any]:
        """Post a body as it is."""
        async with self.http.post(
            f"{self.url}/requests.json", data=body, headers={"Content-Type": kind}
        ) as response:
            return response.status, orjson.loads(await response.read())

    async def report(self, **fields: str) -> str:
        """Report a hole; return the token."""
        status, said = await self.post(**(REPORT | fields))
        assert 201 == status, said
        return str(said[0]["token"])

    async def number(self, token: str) -> str:
        """Wait for the case of a token; return its number."""
        await self.settle()
        _, (row,) = await self.get(f"tokens/{token}.json")
        return str(row["service_request_id"])

    async def settle(self) -> None:
        """Wait until nothing is to be done before a deadline comes near."""
        async with asyncio.timeout(20):
            while await self._busy():
                await asyncio.sleep(0.02)

    async def _busy(self) -> bool:
        rows = await self.town.rows(schema.job)
        return any(row.state != "waiting" or not _far(row.due_at) for row in rows)

    async def read(self, number: str) -> dict[str, Any]:
        """Return how a request stands."""
        status, (row,) = await self.get(f"requests/{number}.json")
        assert 200 == status
        return dict(row)

    async def answer(self, number: str, text: str, status: str = "open") -> None:
        """Let the office for roads answer."""
        _, before = await self.get(f"requests/{number}.json")
        drop = self.folder / "strade" / "answers"
        drop.mkdir(exist_ok=True)
        said = orjson.dumps({"case": number, "text": text, "status": status})
        part = drop / f"{len(list(drop.iterdir()))}-{number}.part"
        part.write_bytes(said)
        part.rename(part.with_suffix(".json"))
        await self._changed(number, before)

    async def _changed(self, number: str, before: Any) -> None:
        async with asyncio.timeout(20):
            while before == (await self.get(f"requests/{number}.json"))[1]:
                await asyncio.sleep(0.02)
        await self.settle()


def _far(due_at: datetime | None) -> bool:
    """Tell whether something comes due only when a deadline does."""
    soon = datetime.now(UTC) + timedelta(minutes=30)
    return due_at is not None and due_at > soon


@contextlib.asynccontextmanager
async def app_town(
    folder: Path,
    url: str = "sqlite:///gateway.db",
    *,
    app: str = "",
    gateway: str = "",
    plugins: Mapping[str, Plugin[Any]] | None = None,
) -> AsyncIterator[App]:
    """Run the gateway of a town with an app and three offices."""
    for office in ("urp", "strade", "rifiuti"):
        (folder / office).mkdir(exist_ok=True)
    every = {**(plugins or {}), "delivery": DeliveryPlugin()}
    names = ", ".join(f'"{name}"' for name in every)
    toml = TOML.format(url=url, data=folder, app=app, gateway=gateway, plugins=names)
    async with running(toml, folder, every) as running_gateway:
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            yield App(Town(running_gateway, []), http, folder)
