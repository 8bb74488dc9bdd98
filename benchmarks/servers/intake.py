"""Our intake: web edge, WhatsApp channel, inbox. ``intake.py PORT STORE FOLDER``.

All of it, up to the acknowledgement, as the daemon has it; no worker takes the jobs
away, so that intake alone is measured. STORE ``none`` stores nothing: what our handler
costs without it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

import aiohttp
import structlog
from aiohttp import web
from gateway_whatsapp.channel import WhatsAppChannel
from gateway_whatsapp.config import WhatsAppConfig
from pydantic import SecretStr

from gateway import audit
from gateway.cli.daemon import calm_collector
from gateway.clock import SystemClock
from gateway.inbox import DiskGate, Inbox
from gateway.metrics import Metrics
from gateway.model import ChannelId
from gateway.plugin import Context, Intake
from gateway.store import open_store
from gateway.store.migrate import prepare
from gateway.testing.kit import MemoryCases, MemoryFiles, make_context
from gateway.web import Ops, make_app
from gateway.workers import Wakeups


class Forgetful:
    """An inbox that keeps nothing."""

    async def accept(self, *given: object) -> int:
        """Say that all is well."""
        return len(given)


def open_inbox(url: str, folder: Path, metrics: Metrics) -> Intake:
    """Return the inbox on ``url``, wired as `gateway.app` does it."""
    if url == "none":
        return cast("Intake", Forgetful())
    prepare(url)
    clock = SystemClock()
    store = open_store(url, clock, seal=audit.seal, exclusive=True)
    store.on_group = metrics.commit_group.observe
    inbox = Inbox(store, DiskGate(folder, 0, clock), Wakeups().wake)
    inbox.on_accepted = metrics.count_accepted
    return inbox


async def make(url: str, folder: Path) -> web.Application:
    """Return the application."""
    http = aiohttp.ClientSession()
    made: Context[Any] = make_context(http)
    metrics = Metrics()
    context = Context(
        config=made.config,
        http=http,
        inbox=open_inbox(url, folder, metrics),
        files=MemoryFiles(),
        cases=MemoryCases(),
        state=made.state,
        clock=SystemClock(),
        log=structlog.get_logger(),
    )
    secret = SecretStr("benchmark")
    config = WhatsAppConfig(
        phone_number_id="106540352242922",
        token=secret,
        app_secrets=[secret],
        verify_token=secret,
    )
    channel = WhatsAppChannel(ChannelId("urp"), config, context)
    routes = [(channel.id, route) for route in channel.routes()]
    nothing = cast("Ops", None)
    app = make_app(routes, nothing, metrics, max_body_bytes=2**20)

    async def close(_: web.Application) -> None:
        await http.close()

    app.on_cleanup.append(close)
    calm_collector()
    return app


if __name__ == "__main__":
    port, url, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    web.run_app(
        make(url, folder),
        host="127.0.0.1",
        port=port,
        print=None,
        access_log=None,
        loop=asyncio.new_event_loop(),
    )
