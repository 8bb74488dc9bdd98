"""A GeoReport v2 server on this machine, as strict as the specification lets it be."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

FIXTURES = Path(__file__).parent / "fixtures" / "open311"
SERVICES = json.loads((FIXTURES / "services.json").read_text())
DEFINITION = json.loads((FIXTURES / "definition_001.json").read_text())
KEY, CITY = "chiave", "comune.example.it"
FIELDS = {
    *("api_key", "jurisdiction_id", "service_code", "lat", "long", "address_string"),
    *("address_id", "email", "device_id", "account_id", "first_name", "last_name"),
    *("phone", "description", "media_url"),
}


class Wrong(Exception):
    """What the server answers with a status and a list of errors."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class GeoReport:
    """What was reported, and how the server is to behave.

    ``lost``: so many replies to reports are lost after the report was taken.
    """

    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    posted: list[dict[str, str]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    redeemed: bool = False
    numbers: bool = False
    lost: int = 0
    failures: list[int] = field(default_factory=list)
    describes: bool = True
    asked: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2"

    def update(self, request: str, status: str = "open", notes: str | None = None):
        """Let the office say something of a request."""
        self.requests[request] |= {
            "status": status,
            "status_notes": notes,
            "updated_datetime": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    async def post(self, request: web.Request) -> web.StreamResponse:
        if self.failures:
            raise Wrong(self.failures.pop(0), "not now")
        if request.content_type != "application/x-www-form-urlencoded":
            raise Wrong(400, "form wanted")
        form = {name: str(value) for name, value in (await request.post()).items()}
        kind = self._checked(form)
        self.posted.append(form)
        number = str(638344 + len(self.posted))
        answer: dict[str, Any] = {"service_notice": "grazie", "account_id": None}
        if kind != "blackbox":
            self.requests[number] = _row(number, form)
        if kind == "batch":
            token = f"t{number}"
            self.tokens[token] = number
            answer["token"] = token
        elif kind == "realtime":
            answer["service_request_id"] = int(number) if self.numbers else number
        if self.lost:
            self.lost -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response([answer], status=201)

    def _checked(self, form: dict[str, str]) -> str:
        """Return the type of the service; refuse what the specification forbids."""
        if form.get("api_key") != KEY:
            raise Wrong(403, "api_key is wrong")
        if form.get("jurisdiction_id") != CITY:
            raise Wrong(404, "jurisdiction_id was not found")
        kinds = {each["service_code"]: each["type"] for each in SERVICES}
        code = form.get("service_code", "")
        if code not in kinds:
            raise Wrong(404, "service_code was not found")
        extra = {each for each in form if not each.startswith("attribute[")} - FIELDS
        if extra:
            raise Wrong(400, f"unknown: {extra}")
        if not ({"lat", "long"} <= set(form) or {"address_string"} <= set(form)):
            raise Wrong(400, "no place")
        if code == "001" and form.get("attribute[SIZE]") not in {"S", "L"}:
            raise Wrong(400, "attribute SIZE is required")
        if not 0 < len(form.get("description", "")) <= 4000:
            raise Wrong(400, "description is too long")
        if {"lat", "long"} <= set(form):
            assert -90 <= float(form["lat"]) <= 90
            assert -180 <= float(form["long"]) <= 180
        return kinds[code]

    async def list(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.failures:
            raise Wrong(self.failures.pop(0), "not now")
        query = request.query
        if query.get("jurisdiction_id") != CITY:
            raise Wrong(404, "jurisdiction_id was not found")
        rows = list(self.requests.values())
        if "service_request_id" in query:
            wanted = query["service_request_id"].split(",")
            rows = [row for row in rows if row["service_request_id"] in wanted]
        else:
            since, until = (
                datetime.fromisoformat(query[name])
                for name in ("start_date", "end_date")
            )
            assert since < until
            rows = [
                row
                for row in rows
                if row["service_code"] == query["service_code"]
                and since <= datetime.fromisoformat(row["requested_datetime"]) <= until
                and (self.redeemed or row["service_code"] != "002")
            ]
        if not self.describes:
            rows = [row | {"description": None} for row in rows]
        if self.numbers:
            rows = [
                r | {"service_request_id": int(r["service_request_id"])} for r in rows
            ]
        return web.json_response(rows)

    async def token(self, request: web.Request) -> web.StreamResponse:
        token = request.match_info["token"]
        if token not in self.tokens:
            raise Wrong(404, "token was not found")
        row = {"token": token}
        if self.redeemed:
            row["service_request_id"] = self.tokens[token]
        return web.json_response([row])

    async def services(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("api_key", KEY) != KEY:
            raise Wrong(403, "api_key is wrong")
        return web.json_response(SERVICES)

    async def definition(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["code"] != "001":
            raise Wrong(400, "no metadata")
        return web.json_response(DEFINITION)


def _row(number: str, form: dict[str, str]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "service_request_id": number,
        "status": "open",
        "status_notes": None,
        "service_name": "Buche",
        "service_code": form["service_code"],
        "description": form["description"],
        "agency_responsible": "Strade",
        "service_notice": None,
        "requested_datetime": now,
        "updated_datetime": now,
        "expected_datetime": None,
        "address": form.get("address_string"),
        "address_id": None,
        "zipcode": None,
        "lat": float(form["lat"]) if "lat" in form else None,
        "long": float(form["long"]) if "long" in form else None,
        "media_url": form.get("media_url"),
    }


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        return await handler(request)
    except Wrong as wrong:
        body = [{"code": wrong.status, "description": str(wrong)}]
        return web.json_response(body, status=wrong.status)


@contextlib.asynccontextmanager
async def georeport() -> AsyncIterator[GeoReport]:
    """Serve on a free port of this machine."""
    server = GeoReport()
    app = web.Application(middlewares=[_errors])
    app.router.add_post("/v2/requests.json", server.post)
    app.router.add_get("/v2/requests.json", server.list)
    app.router.add_get("/v2/tokens/{token}.json", server.token)
    app.router.add_get("/v2/services.json", server.services)
    app.router.add_get("/v2/services/{code}.json", server.definition)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
