"""Tells of receipts that are late or missing: in log, metrics and dead letters."""

from __future__ import annotations

from functools import partial

import structlog

from gateway import awaited
from gateway.awaited import Watch
from gateway.fallback import Successors
from gateway.metrics import Metrics
from gateway.workers import Crew

log = structlog.get_logger()


class Alarms:
    """Handles the watches whose time has come."""

    def __init__(
        self, crew: Crew, metrics: Metrics, successors: Successors | None = None
    ) -> None:
        """Work with ``crew``; ``successors`` get what others had no receipt for."""
        self._crew = crew
        self._metrics = metrics
        # One object: units of work are batched by it.
        self._alarm = partial(awaited.alarm, successors=successors)

    async def warn(self, watch: Watch) -> None:
        """Warn that a receipt is late; again in an hour if none has come."""
        await self._crew.store.run_batched(awaited.remind, watch)
        if watch.open:
            log.warning("receipt_late", target=watch.target, delivery=watch.delivery_id)
            self._count(watch, "receipt_late")

    async def give_up(self, watch: Watch) -> None:
        """Pass a delivery without its last word on, or show it to staff."""
        await self._crew.store.run_batched(self._alarm, watch)
        if watch.open:
            log.warning(
                "receipt_missing", target=watch.target, delivery=watch.delivery_id
            )
            self._count(watch, "receipt_missing")

    def _count(self, watch: Watch, result: str) -> None:
        self._metrics.deliveries.labels(watch.target, result).inc()
