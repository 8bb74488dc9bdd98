"""Every named point × {SIGKILL, exception, cancellation}: the invariants hold."""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from pathlib import Path

import aiohttp
import pytest
from crash_site import Client, Site, drain, judge, site, wait_ready

GATEWAY = Path(__file__).parents[2] / "gateway"
MESSAGES = 12
ACTIONS = ("kill", "raise", "cancel")
POINTS = sorted(
    {
        name
        for file in GATEWAY.rglob("*.py")
        for name in re.findall(r'\bhit\("([a-z_.]+)"\)', file.read_text())
    }
)


def test_points_stand_where_the_promises_need_them():
    """There is a point around each commit, send, rename, fsync, acknowledgement."""
    expected = {
        "attachment.after_fsync_dir",
        "attachment.after_rename",
        "attachment.before_fsync",
        "attachment.before_rename",
        "attachment.before_write",
        "courier.after_send",
        "courier.before_pass_on",
        "courier.before_record",
        "courier.before_send",
        "inbox.before_acknowledge",
        "store.after_commit",
        "store.before_begin",
        "store.before_commit",
        "web.after_acknowledge",
        "worker.after_claim",
        "worker.after_record",
    }

    assert expected == set(POINTS)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("point", POINTS)
async def test_fault_at_point_breaks_no_invariant(
    point: str, action: str, tmp_path: Path
):
    """A daemon that fails there loses nothing and does nothing twice."""
    # Each cell strikes at a moment of its own, the same in every run.
    moment = 1 + zlib.crc32(f"{point}/{action}".encode()) % 8
    mark = tmp_path / "struck"
    fault = {
        "GATEWAY_FAILPOINTS": f"{point}={action}@{moment}",
        "GATEWAY_FAULT_MARK": str(mark),
    }
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        site(os.environ | fault) as place,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        died = await strike(place, session)

        assert [] == judge(place)
        assert mark.exists()
        assert died or action != "kill"


async def strike(place: Site, session: aiohttp.ClientSession) -> bool:
    """Send through a daemon with the fault armed, then drain; tell if it died."""
    daemon = place.start()
    try:
        await wait_ready(session, place, daemon)
        clients = [Client(place, number, limit=MESSAGES) for number in range(4)]
        sending = asyncio.gather(*(client.run(session) for client in clients))
        died, daemon = await _outlive(place, session, daemon, sending)
        await sending
        await drain(session, place)
        daemon.terminate()
        assert 0 == await asyncio.to_thread(daemon.wait)
        return died
    finally:
        daemon.kill()
        daemon.wait()


async def _outlive(place: Site, session, daemon, sending):
    """Wait until the fault has struck or all is done; start a dead daemon again."""
    while daemon.poll() is None:
        if sending.done() and await _idle(session, place):
            return False, daemon
        await asyncio.sleep(0.05)
    # Whatever ends the daemon, it says so: a supervisor must start it again.
    assert 0 != daemon.returncode
    place.environment.pop("GATEWAY_FAILPOINTS")
    restarted = place.start()
    await wait_ready(session, place, restarted)
    return True, restarted


async def _idle(session, place: Site) -> bool:
    """Tell whether no work is open; a daemon that just died is not idle."""
    try:
        async with session.get(f"{place.url}/readyz") as response:
            state = await response.json()
    except aiohttp.ClientError:
        return False
    return not any(queue["open"] for queue in state["queues"].values())
