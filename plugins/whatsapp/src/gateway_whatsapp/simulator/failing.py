"""A request meets its fault."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import web

from gateway_whatsapp.simulator.faults import Answer, Fault, GraphError


def next_of(faults: deque[Fault]) -> Fault | None:
    """Return what is to happen now, and forget it."""
    return faults.popleft() if faults else None


async def fail(
    request: web.Request, fault: Fault, stopped: asyncio.Event
) -> web.StreamResponse:
    """Fail as scripted; silence ends once the simulator has ``stopped``.

    Raises:
        GraphError: the fault is an error of Meta's.

    """
    if fault.answer is Answer.SILENCE:
        await stopped.wait()
    if fault.answer in {Answer.SILENCE, Answer.DROP}:
        return hang_up(request)
    if fault.answer is Answer.PLAIN:
        return web.Response(
            status=fault.status,
            text=f"<html><body>{fault.status}</body></html>",
            content_type="text/html",
            headers=pause(fault.retry_after),
        )
    raise GraphError(
        fault.code or 1,
        "scripted fault",
        status=fault.status,
        retry_after=fault.retry_after,
    )


def hang_up(request: web.Request) -> web.Response:
    """Break the connection; nobody sees the response that is returned."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


def pause(retry_after: int | None) -> dict[str, str]:
    """Return the header that asks to wait."""
    return {} if retry_after is None else {"Retry-After": str(retry_after)}
