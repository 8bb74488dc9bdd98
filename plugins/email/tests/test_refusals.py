"""A mail that Dovecot can't read stops no other, and comes in once it can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aioimaplib import aioimaplib
from gateway_email import EmailChannel
from gateway_email.imap import MailboxError
from gateway_email.refusals import Refusals

from gateway.model import HealthStatus
from gateway.testing.kit import ManualClock

USER = "rifiuti@comune.test"
Until = Callable[[Callable[[], bool]], Awaitable[None]]


def _mail(number: int) -> bytes:
    return f"From: a{number}@example.it\r\nSubject: {number}\r\n\r\nCiao.\r\n".encode()


class Box:
    """Hands out all but the ``bad`` mails, or hangs up."""

    def __init__(self, *bad: int) -> None:
        self.bad = set(bad)

    async def fetch(self, uids: list[int], octets: int) -> dict[int, bytes]:
        del octets
        if self.bad.intersection(uids):
            raise MailboxError("imap_lost", "connection lost during fetch")
        return {uid: _mail(uid) for uid in uids}


async def _fetch(refusals: Refusals, box: Any, uids: list[int]) -> dict[int, bytes]:
    """Fetch until it succeeds, as the follower does."""
    async with asyncio.timeout(5):
        while True:
            with suppress(MailboxError):
                return await refusals.fetch(box, uids, 1)


async def test_only_what_can_not_be_had_alone_is_passed_over():
    """After some failures the others are fetched one by one."""
    refusals = Refusals(ManualClock())

    mails = await _fetch(refusals, Box(2, 5), [1, 2, 3, 4, 5])

    assert ({1, 3, 4}, {2, 5}) == (set(mails), refusals.uids)


async def test_connections_that_fail_now_and_then_refuse_nothing():
    """Twice is not enough."""
    refusals, box = Refusals(ManualClock()), Box(2)
    for _ in range(2):
        with pytest.raises(MailboxError):
            await refusals.fetch(box, [1, 2], 1)
    box.bad.clear()

    assert {1, 2} == set(await _fetch(refusals, box, [1, 2]))
    assert set() == refusals.uids


async def test_they_are_asked_for_once_a_day():
    """Whatever happens then; the others are not forgotten."""
    clock, box = ManualClock(), Box(2)
    refusals = Refusals(clock)
    refusals.uids = {1, 2}
    first = refusals.due()
    with pytest.raises(MailboxError):
        await refusals.fetch_again(box, 2, 1)
    rest = refusals.due()
    await refusals.fetch_again(box, 1, 1)
    nothing = refusals.due()
    clock.advance(24 * 3600)

    assert ([1, 2], [1], [], [2]) == (first, rest, nothing, refusals.due())


def _file(place: Path, needle: bytes) -> Path:
    return next(file for file in place.glob("*/*") if needle in file.read_bytes())


def _chmod(place: Path, name: str, mode: int) -> None:
    """Dovecot moves it, and adds its flags to the name."""
    (file,) = place.glob(f"*/{name}*")
    file.chmod(mode)


async def test_dovecot_can_not_read_one(  # noqa: PLR0917 (fixtures)
    mail_server: Any,
    channel: Callable[..., EmailChannel],
    inbox: Any,
    state: Any,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
):
    """The others come in, the health tells, and a later start brings it, too."""
    monkeypatch.setattr("gateway_email.following.FIRST_PAUSE", 0.02)
    folder = f"Posta-{uuid4().hex}"
    client = aioimaplib.IMAP4(mail_server.host, mail_server.imap_starttls_port)
    await client.wait_hello_from_server()
    await client.login(USER, mail_server.password)
    await client.create(folder)
    for number in (1, 2, 3):
        await client.append(_mail(number), folder)
    await client.logout()
    place: Path = mail_server.cafile.parents[1] / "mail" / USER / f".{folder}"
    name = _file(place, b"Subject: 2").name
    _chmod(place, name, 0)

    def make() -> EmailChannel:
        return channel(
            host=mail_server.host,
            port=mail_server.imap_port,
            security="tls",
            cafile=mail_server.cafile,
            username=USER,
            folders=[folder],
            timeout=5,
        )

    posta = make()
    receiving = asyncio.create_task(posta.receive())
    async with asyncio.timeout(60):
        await inbox.wait_for(2)
        await until(lambda: posta.health().status is HealthStatus.DEGRADED)
        while [2] not in [cursor["refused"] for cursor in state.cursors]:
            await asyncio.sleep(0.1)
    receiving.cancel()
    before = sorted(inbox.originals.values())
    told = posta.health().text
    _chmod(place, name, 0o600)
    again = asyncio.create_task(make().receive())
    async with asyncio.timeout(20):
        await inbox.wait_for(3)
        while [[]] != [cursor["refused"] for cursor in state.cursors]:
            await asyncio.sleep(0.1)
    again.cancel()

    assert [_mail(1), _mail(3)] == before
    assert "1 mail(s) left that the server does not hand out" in told
    assert [_mail(1), _mail(2), _mail(3)] == sorted(inbox.originals.values())
