"""The watchdog sees a blocked loop from outside."""

import asyncio
import gc
import threading

import pytest
from structlog.testing import capture_logs

from gateway.model import HealthStatus
from gateway.watchdog import LoopWatchdog

LIMIT = 0.1


class Blocked:
    """What was seen from outside while the loop was blocked."""

    def __init__(self, watchdog):
        self._watchdog = watchdog
        self._seen = threading.Event()
        self.health = None

    def block_the_loop(self):
        """Block until a thread has seen that the loop is down."""
        thread = threading.Thread(target=self._look)
        thread.start()
        assert self._seen.wait(timeout=10), "the block was never noticed"
        thread.join()

    def _look(self):
        while True:
            self.health = self._watchdog.health()
            if self.health.status is HealthStatus.DOWN:
                self._seen.set()
                return
            self._watchdog._stopping.wait(LIMIT / 10)


async def until(condition):
    """Let the loop turn until ``condition`` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(LIMIT / 10)


@pytest.fixture
async def watchdog():
    """A quick watchdog of the test's loop.

    Other tests leave much behind: collecting that would block the loop, too.
    """
    gc.collect()
    gc.disable()
    watchdog = LoopWatchdog(limit=LIMIT, memory=3 * LIMIT)
    watchdog.start()
    yield watchdog
    watchdog.stop()
    gc.enable()


async def test_turning_loop():
    """A loop that turns ticks again and again, and is well."""
    watchdog = LoopWatchdog(limit=1.0)
    watchdog.start()
    started = watchdog._ticked_at

    await until(lambda: watchdog._ticked_at > started)

    assert watchdog.health().status is HealthStatus.OK
    watchdog.stop()


async def test_blocked_loop(watchdog):
    """While the loop is blocked it is down, and health and log say where, once."""
    blocked = Blocked(watchdog)
    with capture_logs() as logs:
        blocked.block_the_loop()
        await until(lambda: watchdog.health().status is not HealthStatus.DOWN)

    assert blocked.health.status is HealthStatus.DOWN
    assert "block_the_loop" in blocked.health.text
    assert "test_watchdog.py:" in blocked.health.text
    assert [log["event"] for log in logs] == ["loop_blocked", "loop_recovered"]
    assert "block_the_loop" in logs[0]["where"]
    assert logs[1]["seconds"] >= LIMIT


async def test_recovery(watchdog):
    """Afterwards it is degraded for a while, then well."""
    Blocked(watchdog).block_the_loop()

    await until(lambda: watchdog.health().status is HealthStatus.DEGRADED)
    assert "block_the_loop" in watchdog.health().text

    await until(lambda: watchdog.health().status is HealthStatus.OK)


async def test_stop(watchdog):
    """Stopped, it leaves no thread and no timer."""
    watchdog.stop()

    assert not watchdog._thread.is_alive()
    assert watchdog._tick.cancelled()


async def test_stop_before_start():
    """What was never started can be stopped."""
    LoopWatchdog().stop()
