"""Whether this node should get traffic, and how each of its parts is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway import awaited, deadlines, depths, inbox
from gateway.depths import QueueDepth
from gateway.errors import StoreError, StoreFull
from gateway.model import Health, HealthStatus
from gateway.web import Readiness

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.inbox import DiskGate

_ORDER = [HealthStatus.OK, HealthStatus.DEGRADED, HealthStatus.DOWN]


class Monitor:
    """Looks at the parts of a gateway when somebody asks."""

    def __init__(self, gateway: Gateway, gate: DiskGate) -> None:
        """Watch ``gateway``."""
        self._gateway = gateway
        self._gate = gate

    async def readiness(self) -> Readiness:
        """Judge the node: not ready means that it can't accept or does not work on."""
        gateway = self._gateway
        reasons: list[str] = []
        depths = await self._depths(reasons)
        process = depths.get(inbox.PROCESS)
        age = process.oldest_ready_age.total_seconds() if process else 0.0
        limit = gateway.settings.health.max_ready_age_seconds
        if age > limit:
            reasons.append(
                f"the oldest message has waited {age:.0f} s (limit {limit} s)"
            )
        if gateway.crew.stopping.is_set():
            reasons.append("stopping")
        loop = gateway.watchdog.health()
        if loop.status is HealthStatus.DOWN:
            reasons.append(loop.text)
        self._require_room(reasons)
        plugins = await gateway.host.check_health()
        channels = {str(key): each.health() for key, each in gateway.channels.items()}
        targets = {key: each.state.value for key, each in gateway.breakers.items()}
        receipts = await self._receipts(depths)
        overdue = Health(
            status=HealthStatus.DEGRADED if any(receipts.values()) else HealthStatus.OK
        )
        unattended = sorted(
            queue
            for queue, depth in depths.items()
            if depth.open and queue not in gateway.crew.queues
        )
        stranded = Health(
            status=HealthStatus.DEGRADED if unattended else HealthStatus.OK
        )
        healths = [loop, overdue, stranded, *plugins.values(), *channels.values()]
        return Readiness(
            ready=not reasons,
            status=_worst(healths, targets, ready=not reasons),
            reasons=tuple(reasons),
            oldest_ready_seconds=age,
            plugins=_shown(plugins),
            channels=_shown(channels),
            targets=targets,
            queues={queue: _depth(depth) for queue, depth in depths.items()},
            unattended=tuple(unattended),
            receipts=receipts,
        )

    async def _receipts(self, depths: Mapping[str, QueueDepth]) -> dict[str, int]:
        """Count the deliveries whose receipt is late, and those that got none."""
        missing = depths.get(awaited.MISSING)
        late = depths.get(awaited.LATE)
        if late is None or not late.open:
            count = 0
        else:
            count = await self._gateway.store.read(awaited.count_late)
        return {"late": count, "missing": missing.dead if missing else 0}

    def _require_room(self, reasons: list[str]) -> None:
        try:
            self._gate.require_room()
        except StoreFull as error:
            reasons.append(str(error))

    async def _depths(self, reasons: list[str]) -> Mapping[str, QueueDepth]:
        try:
            async with asyncio.timeout(5):
                return await self._gateway.store.read(depths.measure)
        except (StoreError, TimeoutError) as error:
            reasons.append(f"the database does not answer: {error}")
            return {}

    async def refresh_metrics(self) -> None:
        """Bring the gauges up to date."""
        depths = await self._depths([])
        for queue, depth in depths.items():
            self._gateway.metrics.set_queue(queue, depth)
        for state, count in (await self._receipts(depths)).items():
            self._gateway.metrics.receipts.labels(state).set(count)
        for target, breaker in self._gateway.breakers.items():
            is_open = breaker.state.value != "closed"
            self._gateway.metrics.breaker.labels(target).set(is_open)
        await self._show_overdue()

    async def _show_overdue(self) -> None:
        gateway = self._gateway
        try:
            found = await gateway.store.read(deadlines.count_overdue)
        except StoreError:
            return
        for service in {*gateway.settings.services, *found}:
            gateway.metrics.overdue.labels(service).set(found.get(service, 0))


def _worst(
    healths: list[Health], targets: Mapping[str, str], *, ready: bool
) -> HealthStatus:
    if not ready:
        return HealthStatus.DOWN
    worst = max((_ORDER.index(health.status) for health in healths), default=0)
    if any(state != "closed" for state in targets.values()):
        worst = max(worst, 1)
    return _ORDER[min(worst, 1)]


def _shown(healths: Mapping[str, Health]) -> dict[str, dict[str, str]]:
    return {
        name: {"status": health.status.value, "text": health.text}
        for name, health in healths.items()
    }


def _depth(depth: QueueDepth) -> dict[str, float]:
    return {
        "open": depth.open,
        "dead": depth.dead,
        "oldest_ready_seconds": depth.oldest_ready_age.total_seconds(),
    }
