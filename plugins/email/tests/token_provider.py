"""A token endpoint as strict as RFC 6749 §4.4, §5 and §6, and an introspection one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from gateway_email.config import OAuth2Config

SECRET = "il segreto dell'app"


@dataclass
class TokenProvider:
    """Gives tokens to one app; ``valid`` are those that the mail servers take."""

    account: str = "urp@comune.test"
    lives: int = 3600
    rotates: bool = False
    refresh_token: str = "first"
    valid: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    introspected: int = 0
    answers: list[tuple[int, str]] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[TokenProvider]:
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_post("/introspect", self._introspect)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def config(self, **changes: Any) -> OAuth2Config:
        values = {
            "token_url": f"http://127.0.0.1:{self.port}/token",
            "client_id": "gateway",
            "client_secret": SECRET,
            "scope": "https://outlook.office365.com/.default",
            **changes,
        }
        return OAuth2Config.model_validate(values)

    async def _token(self, request: web.Request) -> web.Response:  # noqa: PLR0911 (each error of §5.2)
        if self.answers:
            status, text = self.answers.pop(0)
            return web.Response(status=status, text=text)
        if request.content_type != "application/x-www-form-urlencoded":
            return _error("invalid_request")
        form = await request.post()
        if len(form) != len(set(form)) or not all(form.values()):
            return _error("invalid_request")  # §3.2: no parameter twice, none empty
        self.asked.append(str(form.get("grant_type")))
        if (form.get("client_id"), form.get("client_secret")) != ("gateway", SECRET):
            return _error("invalid_client", 401)
        match form.get("grant_type"):
            case "refresh_token":
                if form.get("refresh_token") != self.refresh_token:
                    return _error("invalid_grant")
            case "client_credentials":
                if not form.get("scope"):
                    return _error("invalid_scope")
            case _:
                return _error("unsupported_grant_type")
        token = f"token-{len(self.asked)}"
        self.valid[token] = self.account
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self.lives}
        if self.rotates:
            self.refresh_token = told["refresh_token"] = f"next-{len(self.asked)}"
        return web.json_response(told, headers={"Cache-Control": "no-store"})

    async def _introspect(self, request: web.Request) -> web.Response:
        self.introspected += 1
        form = await request.post()
        name = self.valid.get(str(form.get("token")))
        told = {"active": True, "username": name} if name else {"active": False}
        return web.json_response(told)


def _error(code: str, status: int = 400) -> web.Response:
    return web.json_response({"error": code}, status=status)
