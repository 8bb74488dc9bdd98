"""The web edge: webhooks, health, metrics, and the limits that keep them safe.

A webhook is answered in one of three ways: accepted, ignored with a reason (200), or
refused (4xx). 503 with ``Retry-After`` says that nothing was accepted, come again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.channel import RouteDef
from gateway.deadline import Deadline
from gateway.errors import StoreError
from gateway.failpoints import hit
from gateway.metrics import Metrics
from gateway.model import ChannelId, HealthStatus

log = structlog.get_logger()

_RETRY_AFTER = {"Retry-After": "30"}
_REQUEST_SECONDS = 30.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether this node should get traffic, and how each of its parts is."""

    ready: bool
    status: HealthStatus
    reasons: tuple[str, ...] = ()
    oldest_ready_seconds: float = 0.0
    plugins: dict[str, dict[str, str]] = field(default_factory=dict)
    channels: dict[str, dict[str, str]] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    queues: dict[str, dict[str, float]] = field(default_factory=dict)
    unattended: tuple[str, ...] = ()
    """Queues with open work on which nobody works: their target is not configured."""
    receipts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ops:
    """What the operators' pages ask for."""

    readiness: Callable[[], Awaitable[Readiness]]
    refresh_metrics: Callable[[], Awaitable[None]]


def make_app(
    routes: Iterable[tuple[ChannelId, RouteDef]],
    ops: Ops,
    metrics: Metrics,
    *,
    max_body_bytes: int,
    files: Handler | None = None,
) -> web.Application:
    """Return the application that serves channels below ``/channels/<id>/``.

    ``files`` answers for the links to files, if the city has any.
    """
    app = web.Application(client_max_size=max_body_bytes)
    for channel, route in routes:
        path = f"/channels/{channel}/{route.path.lstrip('/')}"
        handler = guard(route.handler, channel, metrics)
        app.router.add_route(route.method, path, handler)
    if files is not None:
        app.router.add_get("/files/{token}", files)
    app.router.add_get("/healthz", _live)
    app.router.add_get("/readyz", _ready(ops))
    app.router.add_get("/metrics", _metrics(ops, metrics))
    return app


def guard(handler: Handler, channel: ChannelId, metrics: Metrics) -> Handler:
    """Wrap a channel's handler: limits before, and a clear answer whatever happens."""
    deadline = Deadline(_REQUEST_SECONDS)

    async def guarded(request: web.Request) -> web.StreamResponse:
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            metrics.refused.labels(channel, "415").inc()
            raise web.HTTPUnsupportedMediaType(text="send the body uncompressed\n")
        try:
            response = await deadline.run(handler, request)
        except web.HTTPException as refusal:
            metrics.refused.labels(channel, str(refusal.status)).inc()
            raise
        except TimeoutError:
            metrics.refused.labels(channel, "408").inc()
            raise web.HTTPRequestTimeout(text="the body came too slowly\n") from None
        except StoreError as error:
            log.warning("intake_unavailable", channel=channel, error=str(error))
            metrics.refused.labels(channel, "503").inc()
            text = "nothing was accepted, try again later\n"
            return web.Response(status=503, text=text, headers=_RETRY_AFTER)
        if response.status >= web.HTTPBadRequest.status_code:
            metrics.refused.labels(channel, str(response.status)).inc()
        # Here and not by aiohttp after us, so that a point can stand behind it. Who has
        # gone meanwhile is aiohttp's business.
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            await response.write_eof()
        hit("web.after_acknowledge")
        return response

    return guarded


async def _live(request: web.Request) -> web.Response:
    """Answer as long as the event loop turns."""
    del request
    return web.Response(text="ok\n")


def _ready(ops: Ops) -> Handler:
    async def ready(request: web.Request) -> web.Response:
        del request
        readiness = await ops.readiness()
        status = 200 if readiness.ready else 503
        headers = {} if readiness.ready else _RETRY_AFTER
        body = {
            "ready": readiness.ready,
            "status": readiness.status.value,
            "reasons": readiness.reasons,
            "oldest_ready_seconds": readiness.oldest_ready_seconds,
            "plugins": readiness.plugins,
            "channels": readiness.channels,
            "targets": readiness.targets,
            "queues": readiness.queues,
            "unattended": readiness.unattended,
        }
        return web.json_response(body, status=status, headers=headers)

    return ready


def _metrics(ops: Ops, metrics: Metrics) -> Handler:
    async def show(request: web.Request) -> web.Response:
        del request
        await ops.refresh_metrics()
        body = generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return show
