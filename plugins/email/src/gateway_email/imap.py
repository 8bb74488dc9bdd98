"""A typed fence around aioimaplib, with a deadline on every wait.

What it guards against (aioimaplib 2.0.3): ``idle_start`` never returns if the server
falls silent (its issue 110); a reset while idling is not reported, hence the
``conn_lost_cb``; SEARCH sends a CHARSET that Exchange and Yahoo refuse (issue 126);
an empty SEARCH may yield the server's completion text; a response of very many lines
overflows the stack, hence the batches.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

from aioimaplib import aioimaplib  # type: ignore[import-untyped]
from imapclient import imap_utf7  # type: ignore[import-untyped]

from gateway.connections import explain
from gateway.errors import GatewayError
from gateway_email.config import EmailChannelConfig
from gateway_email.folder_list import folder_names
from gateway_email.oauth2 import CANCEL, TokenError, Tokens, oauthbearer, xoauth2
from gateway_email.sequence_set import sequence_set

_T = TypeVar("_T")

_OK = "OK"
_AT_ONCE = 20
"""Mails in one FETCH: for each line of the response the library goes one level deeper
in the stack, and looks at all lines before it."""

_SIZES_AT_ONCE = 50

_OCTETS_PER_SECOND = 100_000
"""The slowest line on which a mail may be fetched in time."""


class MailboxError(GatewayError):
    """The mailbox can't be used; ``code`` is stable, the text names the step."""

    def __init__(self, code: str, text: str) -> None:
        """Keep the code; no server text, it may hold personal data."""
        super().__init__(f"{code}: {text}")
        self.code = code


class Mailbox:
    """One folder, selected on one connection; made by `open_mailbox`."""

    def __init__(
        self,
        config: EmailChannelConfig,
        folder: str,
        on_alive: Callable[[], None],
        tokens: Tokens | None = None,
    ) -> None:
        """Prepare; ``on_alive`` is called whenever the server has answered."""
        self._tokens = tokens
        self.uid_validity = 0
        self._uid_next = 0
        self._config = config
        self._folder = folder
        self._on_alive = on_alive
        self._lost = asyncio.get_running_loop().create_future()
        self._client: aioimaplib.IMAP4 | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Return UIDVALIDITY and UIDNEXT as of the last `select`."""
        return self.uid_validity, self._uid_next

    async def connect(self) -> None:
        """Connect, log in and select the folder."""
        config = self._config
        try:
            tls = config.tls_context() if config.security == "tls" else None
        except OSError as error:
            raise MailboxError("imap_broken", f"cafile: {explain(error)}") from None
        self._client = client = aioimaplib.IMAP4(
            config.host,
            config.port,
            timeout=config.timeout,
            conn_lost_cb=self._note_loss,
            ssl_context=tls,
        )
        await self._run("connect", client.wait_hello_from_server())
        await self._log_in(client)
        if self._folder:
            await self.select()

    async def _log_in(self, client: aioimaplib.IMAP4) -> None:
        """Log in by password or token; a token that is refused is renewed once."""
        config = self._config
        if config.password is not None:
            password = config.password.get_secret_value()
            await self._command("login", client.login(config.username, password))
            return
        if self._tokens is None:
            raise MailboxError("imap_login", "no tokens for this account")
        try:
            token = await self._tokens.token()
            if await self._bears(client, token):
                return
            token = await self._tokens.token(refused=token)
            if await self._bears(client, token):
                return
        except TokenError as error:
            raise MailboxError("imap_login", str(error)) from None
        text = "the server refused a fresh token: check username, scope and rights"
        raise MailboxError("imap_login", text)

    async def _bears(self, client: aioimaplib.IMAP4, token: str) -> bool:
        """Authenticate with a token; tell whether the server takes it."""
        config, protocol = self._config, client.protocol
        bearer = client.has_capability("AUTH=OAUTHBEARER")
        name, first, last = "XOAUTH2", xoauth2(config.username, token), ""
        if bearer:
            where = (config.host, config.port)
            name, last = "OAUTHBEARER", CANCEL
            first = oauthbearer(config.username, *where, token)
        inline = client.has_capability("SASL-IR")
        answers = [last] if inline else [first, last]
        usual = protocol._continuation  # noqa: SLF001 (the library answers no challenge)
        protocol._continuation = lambda _: protocol.send(  # noqa: SLF001
            answers.pop(0) if answers else "*"
        )
        arguments = [name, first] if inline else [name]
        command = aioimaplib.Command(
            "AUTHENTICATE", protocol.new_tag(), *arguments, loop=protocol.loop
        )
        try:
            response = await self._run("login", protocol.execute(command, scrub=token))
        finally:
            protocol._continuation = usual  # noqa: SLF001
        if response.result != _OK:
            return False
        protocol.state = aioimaplib.AUTH
        await self._run("capability", protocol.capability())
        return True

    async def select(self) -> None:
        """Select the folder, also again: `position` is then what we know of.

        IDLE reports only what no earlier response did, and aioimaplib drops a report
        that comes with another command. After a SELECT nothing can be missed.
        """
        folder = _quoted(self._folder)
        lines = await self._command("select", self._connected().select(folder))
        self.uid_validity = _response_code(lines, b"UIDVALIDITY")
        self._uid_next = _response_code(lines, b"UIDNEXT")

    async def folders(self) -> list[str]:
        """Return the names of the folders that can be selected."""
        listing = self._connected().list('""', "*")
        return folder_names(await self._command("list", listing))

    async def make_done_folder(self) -> None:
        """Make the folder for what is done; that it is there already is no error."""
        if self._config.done_folder:
            create = self._connected().create(_quoted(self._config.done_folder))
            await self._run("create", create)

    async def uids_after(self, uid: int) -> list[int]:
        """Return the UIDs above ``uid``, ascending.

        ``n:*`` always names the last mail, even one below n (RFC 3501 §6.4.8).
        """
        found = await self._search(f"UID {uid + 1}:*")
        return sorted(number for number in found if number > uid)

    async def larger_than(self, octets: int, uids: Sequence[int]) -> list[int]:
        """Return those of ascending ``uids`` whose mails are larger, ascending."""
        found = await self._search(f"UID {sequence_set(uids)} LARGER {octets}")
        return sorted(found)

    async def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """Return the sizes of the mails that still exist, in octets."""
        sizes: dict[int, int] = {}
        for start in range(0, len(uids), _SIZES_AT_ONCE):
            some = uids[start : start + _SIZES_AT_ONCE]
            lines = await self._uid("FETCH", some, "(UID RFC822.SIZE)")
            found = ((_UID.search(line), _SIZE.search(line)) for line in lines)
            sizes |= {int(uid[1]): int(size[1]) for uid, size in found if uid and size}
        return sizes

    async def fetch(self, uids: Sequence[int], octets: int) -> dict[int, bytes]:
        """Return the raw mails that still exist, unseen.

        ``octets``: their size, for the deadline.
        """
        mails: dict[int, bytes] = {}
        slack = octets / _OCTETS_PER_SECOND
        for start in range(0, len(uids), _AT_ONCE):
            some = uids[start : start + _AT_ONCE]
            lines = await self._uid("FETCH", some, "(UID BODY.PEEK[])", slack=slack)
            mails |= _bodies(lines)
        return mails

    async def mark_done(self, uids: Sequence[int]) -> None:
        """Move mails to the folder for what is done, or flag them as seen."""
        done_folder = self._config.done_folder
        if done_folder is None:
            await self._uid("STORE", uids, r"+FLAGS.SILENT (\Seen)")
        elif self._connected().has_capability("MOVE"):
            await self._uid("MOVE", uids, _quoted(done_folder))
        else:
            await self._uid("COPY", uids, _quoted(done_folder))
            await self._uid("STORE", uids, r"+FLAGS.SILENT (\Seen \Deleted)")

    async def flag(self, uids: Sequence[int]) -> None:
        r"""Set ``\Flagged``, which every mail client shows."""
        await self._uid("STORE", uids, r"+FLAGS.SILENT (\Flagged)")

    async def count_larger(self, octets: int) -> int:
        """Return how many mails in the folder are larger."""
        return len(await self._search(f"LARGER {octets}"))

    async def wait_for_news(self, seconds: float) -> None:
        """Idle until the server says anything or ``seconds`` have passed.

        A server without IDLE (RFC 2177) is only left alone for so long. The caller
        looks for new UIDs afterwards in any case.
        """
        client = self._connected()
        if not client.has_capability("IDLE"):
            await asyncio.wait({self._lost}, timeout=seconds)
            await self._command("noop", client.noop())
            return
        idle = await self._run("idle", client.idle_start(timeout=seconds * 2))
        push = asyncio.ensure_future(client.wait_server_push(timeout=seconds * 2))
        try:
            await asyncio.wait(
                {push, self._lost},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            push.cancel()
        if not self._lost.done():
            client.idle_done()
        await self._run("idle", _wait(idle))

    async def close(self) -> None:
        """Hang up without ceremony: nothing is pending that a LOGOUT would save."""
        client = self._client
        if client is None:
            return
        if client.protocol.transport is not None:
            client.protocol.transport.abort()
        pending = {client._client_task, *client.tasks, *client.protocol.tasks}  # noqa: SLF001 (the library has no close)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _search(self, criteria: str) -> list[int]:
        """Return the UIDs that match, in no order."""
        search = self._connected().uid_search(criteria, charset=None)
        lines = await self._command("search", search)
        return [int(word) for line in lines[:-1] for word in _numbers(line)]

    async def _uid(
        self, verb: str, uids: Sequence[int], rest: str, slack: float = 0.0
    ) -> list[bytes | bytearray]:
        numbers = sequence_set(uids)
        command = self._connected().protocol.uid(verb, numbers, rest)
        return await self._command(verb.lower(), command, slack)

    async def _command(
        self, step: str, command: Coroutine[Any, Any, Any], slack: float = 0.0
    ) -> list[bytes | bytearray]:
        """Run a command that must end with OK; return the lines of its response."""
        response = await self._run(step, command, slack)
        if response.result != _OK:
            raise MailboxError(f"imap_{step}", f"the server refused {step}")
        lines: list[bytes | bytearray] = response.lines
        return lines

    async def _run(
        self, step: str, work: Coroutine[Any, Any, _T], slack: float = 0.0
    ) -> _T:
        """Wait for ``work``, for the loss of the connection or for the deadline."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait(
                {task, self._lost},
                timeout=self._config.timeout + slack,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not task.done():
                self._give_up(step)
            result = task.result()
        except (aioimaplib.AioImapException, OSError) as error:
            text = f"{step} failed: {explain(error)}"
            raise MailboxError("imap_broken", text) from None
        finally:
            task.cancel()
        self._on_alive()
        return result

    def _give_up(self, step: str) -> NoReturn:
        if self._lost.done():
            raise MailboxError("imap_lost", f"connection lost during {step}")
        raise MailboxError("imap_silent", f"no answer to {step} in time")

    def _connected(self) -> aioimaplib.IMAP4:
        if self._client is None:
            raise MailboxError("imap_lost", "not connected")
        return self._client

    def _note_loss(self, error: Exception | None) -> None:
        del error
        if not self._lost.done():
            self._lost.set_result(None)


@asynccontextmanager
async def open_mailbox(
    config: EmailChannelConfig,
    folder: str = "INBOX",
    on_alive: Callable[[], None] = lambda: None,
    *,
    tokens: Tokens | None = None,
) -> AsyncIterator[Mailbox]:
    """Connect, log in and select ``folder``, if named; hang up at the end.

    Raises:
        MailboxError: one of these steps failed.

    """
    mailbox = Mailbox(config, folder, on_alive, tokens)
    try:
        await mailbox.connect()
        yield mailbox
    finally:
        await mailbox.close()


async def _wait(future: asyncio.Future[_T]) -> _T:
    return await future


def _quoted(name: str) -> str:
    """Return a mailbox name as a quoted string in modified UTF-7 (RFC 3501 §5.1.3)."""
    encoded = imap_utf7.encode(name).decode("ascii")
    escaped = encoded.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _response_code(lines: Sequence[bytes | bytearray], name: bytes) -> int:
    """Return the number in ``[NAME number]`` (RFC 3501 §7.1)."""
    pattern = re.compile(rb"\[" + name + rb" (\d+)\]", re.IGNORECASE)
    for line in lines:
        if found := pattern.search(line):
            return int(found[1])
    raise MailboxError("imap_select", f"the server names no {name.decode()}")


_FETCHED = re.compile(rb"\d+ FETCH \(")
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")


def _bodies(lines: Iterable[bytes | bytearray]) -> dict[int, bytes]:
    """Return UID → body out of a FETCH response.

    A body comes as a literal, or as ``NIL`` if it is gone. What comes with neither is
    not about bodies: the server may tell of flags at any time (RFC 3501 §7.4.2).
    """
    bodies: dict[int, bytes] = {}
    words, body = b"", None
    for line in lines:
        if isinstance(line, bytearray):
            body = line
            continue
        words = line if _FETCHED.match(line) else words + line
        uid = _UID.search(words)
        if body is not None and uid:
            bodies[int(uid[1])] = bytes(body)
            words, body = b"", None
        elif b'BODY[] "' in words:
            raise MailboxError("imap_fetch", "the server sent a mail as a string")
    return bodies


def _numbers(line: bytes | bytearray) -> list[bytes]:
    """Return the numbers of a SEARCH response, none if it is other text."""
    words = bytes(line).split()
    return words if all(word.isdigit() for word in words) else []
