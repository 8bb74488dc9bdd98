"""Every fault at every stage, between a whole gateway and Dovecot and Postfix.

Once the line is good again, all is caught up within a minute: the ledger of what was
sent agrees with the database, the folders and the office's mailbox. Only where the
reply to the final dot was lost, or came too late, may somebody get a mail again, under
the same Message-ID and named as a repetition.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailPlugin, following
from mail_town import SECRETS, Town, eventually
from stage_proxy import Fault, proxied

from gateway.testing.kit import running

pytestmark = pytest.mark.long

STAGES = ("connect", "idle", "fetch", "move", "submit")
BEFORE, AFTER = 2, 3
"""Mails that wait when the gateway starts, and that come once the fault has struck."""
RECOVERY = 60.0
"""Seconds after the line is good again."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time to lose: the same pauses, shorter."""
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.1)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_nothing_is_lost_or_doubled(
    mail_server: Any, tmp_path: Path, fault: Fault
) -> None:
    """At every stage, each against a gateway of its own, all at once."""
    cases = [(stage, at) for at, stage in enumerate(STAGES)]
    towns = {stage: _town(mail_server, tmp_path / stage) for stage in STAGES}
    told = await asyncio.gather(
        *(_strike(towns[stage], fault, stage, at) for stage, at in cases)
    )

    assert [(stage, []) for stage in STAGES] == list(zip(STAGES, told, strict=True))


def _town(peer: Any, folder: Path) -> Town:
    folder.mkdir()
    return Town(peer, folder)


async def _strike(town: Town, fault: Fault, stage: str, at: int) -> list[str]:
    """Let a fault strike; return what is wrong once all should be well again."""
    is_lost_reply = stage == "submit" and fault is Fault.REPLY_LOST
    in_stage = "dot" if is_lost_reply else stage
    on_smtp = stage == "submit"
    peer = town.peer
    await town.write(BEFORE)
    async with AsyncExitStack() as stack:
        to = peer.smtp_port if on_smtp else peer.imap_starttls_port
        proxy = await stack.enter_async_context(
            proxied(to, fault, in_stage, times=2, cut_after=40 + 60 * at)
        )
        ports = {"smtp" if on_smtp else "imap": proxy.port}
        await stack.enter_async_context(
            running(town.toml(**ports), town.folder, {"email": EmailPlugin()})
        )
        await asyncio.wait_for(proxy.struck.wait(), 30)
        await town.write(AFTER)
        await asyncio.wait_for(proxy.healed.wait(), 60)
        await eventually(town.is_well, RECOVERY)
        return await town.complaints(_doubles(fault, stage))


def _doubles(fault: Fault, stage: str) -> range:
    """Return how many mails may have gone out again: who can know what became of it?"""
    if stage != "submit":
        return range(1)
    # Of a slow line the reply to the dot may come too late, or in time.
    return {Fault.REPLY_LOST: range(2, 3), Fault.SLOW: range(3)}.get(fault, range(1))
