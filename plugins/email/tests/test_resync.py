"""A folder of Dovecot's that is made anew: nothing comes twice, nothing is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from aioimaplib import aioimaplib
from gateway_email import EmailChannel
from gateway_email.imap import MailboxError, open_mailbox

from gateway.errors import StoreUnavailable

MakeChannel = Callable[..., EmailChannel]
USER = "rifiuti@comune.test"


def _mail(number: int) -> bytes:
    return f"From: a{number}@example.it\r\nSubject: {number}\r\n\r\nCiao.\r\n".encode()


class Folder:
    """A folder on the server, which a person fills and makes anew."""

    def __init__(self, client: aioimaplib.IMAP4) -> None:
        self.name = f"Posta-{uuid4().hex}"
        self._client = client

    async def fill(self, mails: list[bytes]) -> None:
        for mail in mails:
            assert "OK" == (await self._client.append(mail, self.name)).result

    async def make(self, mails: list[bytes]) -> None:
        assert "OK" == (await self._client.create(self.name)).result
        await self.fill(mails)

    async def make_anew(self, mails: list[bytes]) -> None:
        """The same name, another UIDVALIDITY."""
        assert "OK" == (await self._client.delete(self.name)).result
        await self.make(mails)


@pytest.fixture
async def folder(mail_server: Any) -> AsyncIterator[Folder]:
    """A folder's name and a client to work on it."""
    client = aioimaplib.IMAP4("127.0.0.1", mail_server.imap_starttls_port)
    await client.wait_hello_from_server()
    await client.login(USER, mail_server.password)
    yield Folder(client)
    await client.logout()


@pytest.fixture
def posta(mail_server: Any, channel: MakeChannel, folder: Folder) -> EmailChannel:
    """A channel on that folder."""
    return channel(
        host=mail_server.host,
        port=mail_server.imap_port,
        security="tls",
        cafile=mail_server.cafile,
        username=USER,
        folders=[folder.name],
    )


@asynccontextmanager
async def _receiving(channel: EmailChannel) -> AsyncIterator[None]:
    task = asyncio.create_task(channel.receive())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _caught_up(state: Any, channel: EmailChannel) -> None:
    """Wait until the cursor stands on the last mail that is there."""
    async with open_mailbox(channel.config, channel.config.folders[0]) as mailbox:
        uid_validity, uid_next = mailbox.position
        async with asyncio.timeout(20):
            while (uid_validity, uid_next - 1) not in {
                (cursor["uid_validity"], cursor["uid"]) for cursor in state.cursors
            }:
                await asyncio.sleep(0.02)


async def test_what_is_known_keeps_its_name(
    folder: Folder, posta: EmailChannel, inbox: Any, state: Any
) -> None:
    """Of 120 mails in another order, with three new ones, three are new."""
    known = [_mail(number) for number in range(120)]
    await folder.make(known)
    async with _receiving(posta):
        await inbox.wait_for(120)
        await _caught_up(state, posta)
    await folder.make_anew([_mail(500), *known[::-1], _mail(3), _mail(501)])
    async with _receiving(posta):
        await _caught_up(state, posta)
        await folder.fill([_mail(502), _mail(4)])
        await _caught_up(state, posta)

    new = [_mail(500), _mail(3), _mail(501), _mail(502), _mail(4)]
    assert sorted([*known, *new]) == sorted(inbox.originals.values())


@pytest.mark.parametrize("step", ["name", "accept", "mark_done", "put"])
@pytest.mark.parametrize("times", [1, 2])
async def test_interrupted_resync_goes_on(  # noqa: PLR0917 (fixtures)
    folder: Folder,
    posta: EmailChannel,
    inbox: Any,
    state: Any,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    times: int,
) -> None:
    """Wherever it stops, even if the folder is made anew again before it goes on."""
    monkeypatch.setattr("gateway_email.collecting._BATCH", 25)
    known = [_mail(number) for number in range(60)]
    await folder.make(known)
    async with _receiving(posta):
        await inbox.wait_for(60)
        await _caught_up(state, posta)
    place = {
        "name": "gateway_email.known.KnownMails.name",
        "accept": "gateway_email.collecting.Collector._store",
        "mark_done": "gateway_email.imap.Mailbox.mark_done",
        "put": "gateway_email.collecting.Collector._put_cursor",
    }[step]
    for round_ in range(times):
        await folder.make_anew([*known[round_:], *known[:round_], _mail(500)])
        with monkeypatch.context() as patch:
            patch.setattr(place, _dying(place, after=1))
            with pytest.raises((MailboxError, StoreUnavailable)):
                async with asyncio.timeout(20):
                    await posta.followers[0].follow()
    async with _receiving(posta):
        await _caught_up(state, posta)

    assert sorted([*known, _mail(500)]) == sorted(inbox.originals.values())


def _dying(place: str, after: int) -> Any:
    """Return the function at ``place``, which fails from the n-th call on."""
    module, kind, name = place.rsplit(".", 2)
    real = getattr(getattr(__import__(module, fromlist=[kind]), kind), name)
    calls = 0

    async def do(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            message = "killed by the test"
            raise StoreUnavailable(message)
        return await real(*arguments)

    return do


async def test_lower_numbers_under_the_same_uidvalidity_are_new_ones(
    folder: Folder, posta: EmailChannel, inbox: Any, state: Any
) -> None:
    """A server that breaks the rule costs nothing either."""
    await folder.make([_mail(1), _mail(2)])
    async with open_mailbox(posta.config, folder.name) as mailbox:
        uid_validity, _ = mailbox.position
    before = {"uid_validity": uid_validity, "label": str(uid_validity), "uid": 900}
    [key] = [f"imap:posta:{USER}/{folder.name}"]
    await state.put(key, before)
    # Another mail was accepted under this number.
    inbox.originals[f"{USER}/{folder.name}:{uid_validity}:1"] = b"old"
    async with _receiving(posta):
        await inbox.wait_for(3)
        await _caught_up(state, posta)

    assert [b"old", _mail(1), _mail(2)] == list(inbox.originals.values())
