"""A real daemon on Dovecot and Postfix, killed (-9) at each step, 100 times in all.

One mail comes before each start; the daemon dies at the step and is started again. At
the end one runs in peace: nothing is lost, and only what was killed between the final
dot and the record goes out again, under the same Message-ID and named as a repetition.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from mail_town import Town, eventually

pytestmark = pytest.mark.long

KILLS = 20 if os.environ.get("REQUIRE_PEERS") == "1" else 4
"""At each step."""

STEPS = {
    "fetched": "email.after_fetch",
    "stored": "email.after_store",
    "moved": "email.after_mark",
    "cursor": "email.after_cursor",
    "submitted": "courier.after_send",
}


@pytest.mark.parametrize("step", STEPS)
async def test_killed_daemon_loses_and_doubles_nothing(
    mail_server: Any, tmp_path: Path, step: str
) -> None:
    """However often it dies there."""
    town = Town(mail_server, tmp_path, concurrency=1)
    for _ in range(KILLS):
        await town.write(1)
        async with town.daemon(GATEWAY_FAILPOINTS=f"{STEPS[step]}=kill") as daemon:
            await asyncio.to_thread(daemon.wait, 60)
            assert -signal.SIGKILL == daemon.returncode
    async with town.daemon():
        await eventually(town.is_well)

    # Each kill may cut off one mail to the office and one to a citizen.
    repeated = range(step == "submitted", 2 * KILLS + 1)
    assert [] == await town.complaints(repeated)
