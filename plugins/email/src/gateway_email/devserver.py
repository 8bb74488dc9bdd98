"""A mail server of real parts for demos and tests: no root, nothing to configure.

SMTP by aiosmtpd, IMAP with IDLE by pymap, both in this event loop, on loopback ports,
without TLS. Mail lives in memory. Install with ``municipal-gateway-email[devserver]``.
Never for production.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from argparse import Namespace
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Self

from aiosmtpd import smtp
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Identity, Login
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement
from pymap.user import UserMetadata
from pysasl.hashing import Cleartext

HOST = "127.0.0.1"
_MAX_BYTES = 30_000_000
_NUDGE_SECONDS = 0.25


class MailServer:
    """Mailboxes for the given accounts: address → password.

    ``async with MailServer({"strade@comune.test": "segreta"}) as server`` listens on
    ``server.smtp_port`` and ``server.imap_port``. ``name+anything@domain`` is
    delivered to ``name@domain``; unknown addresses are refused with 550.
    """

    def __init__(
        self, accounts: Mapping[str, str], *, smtp_port: int = 0, imap_port: int = 0
    ) -> None:
        """Prepare; port 0 takes a free one."""
        self.host = HOST
        self.smtp_port = smtp_port
        self.imap_port = imap_port
        self._accounts = {name.lower(): word for name, word in accounts.items()}
        self._config = _ImapConfig(
            Namespace(passlib_cfg=None, proxy_protocol=None),
            host=HOST,
            port=imap_port,
            demo_data=False,
            demo_user="",
            demo_password="",
            tls_enabled=False,
            hash_context=Cleartext(),
            cpu_subsystem=Subsystem.for_asyncio(),
        )
        self._login = Login(self._config)
        self._stack = AsyncExitStack()
        self._nudges: set[asyncio.Task[None]] = set()
        # aiosmtpd warns of a deprecated attribute that only itself uses.
        logging.getLogger("mail.log").setLevel(logging.ERROR)

    async def __aenter__(self) -> Self:
        """Open the mailboxes, then listen."""
        for address, password in self._accounts.items():
            user = UserMetadata(self._config, address, password=password)
            await self._identity(address).set(user)
        self.smtp_port = await self._listen_smtp()
        self.imap_port = await self._listen_imap()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and hang up."""
        for nudge in self._nudges:
            nudge.cancel()
        await self._stack.aclose()

    def knows(self, address: str) -> bool:
        """Tell whether there is a mailbox for this address."""
        return _base(address) in self._accounts

    def admits(self, login: bytes, password: bytes) -> bool:
        """Tell whether this is the account's password."""
        known = self._accounts.get(login.decode("utf-8", "replace").lower())
        return known is not None and hmac.compare_digest(known.encode(), password)

    async def deliver(self, address: str, mail: bytes) -> None:
        """Put a mail into an account's inbox, as if it had come by SMTP."""
        message = AppendMessage(mail, datetime.now(UTC), frozenset())
        async with self._identity(_base(address)).new_session() as session:
            inbox = await session.mailbox_set.get_mailbox("INBOX")
            await inbox.append(message, recent=True)
        nudge = asyncio.create_task(self._nudge(_base(address)))
        self._nudges.add(nudge)
        nudge.add_done_callback(self._nudges.discard)

    async def mails(self, address: str, folder: str = "INBOX") -> list[bytes]:
        """Return the mails in a folder of an account, oldest first."""
        async with self._identity(_base(address)).new_session() as session:
            mailbox = await session.mailbox_set.get_mailbox(folder)
            loaded = [
                await message.load_content(FetchRequirement.CONTENT)
                async for message in mailbox.messages()
            ]
        return [bytes(message.get_body(binary=True)) for message in loaded]

    async def _nudge(self, account: str) -> None:
        """Wake idlers once more.

        pymap loses what arrives between a client's last command and its IDLE.
        """
        await asyncio.sleep(_NUDGE_SECONDS)
        async with self._identity(account).new_session() as session:
            inbox = await session.mailbox_set.get_mailbox("INBOX")
            await inbox.delete(())

    def _identity(self, account: str) -> Identity:
        return Identity(account, self._login, None, frozenset())

    async def _listen_smtp(self) -> int:
        loop = asyncio.get_running_loop()
        handler = _Handler(self)
        return await self._enter(
            await loop.create_server(lambda: _session(handler), HOST, self.smtp_port)
        )

    async def _listen_imap(self) -> int:
        connect = ProxyProtocolReader(self._config.proxy_protocol).get_callback(
            IMAPServer(self._login, self._config)
        )
        return await self._enter(
            await asyncio.start_server(connect, HOST, self.imap_port)
        )

    async def _enter(self, server: asyncio.Server) -> int:
        await self._stack.enter_async_context(server)
        port: int = server.sockets[0].getsockname()[1]
        return port


class _ImapConfig(Config):
    """pymap's configuration without its look-up of this machine's name."""

    @property
    def greeting(self) -> bytes:
        """Return the text of the first line."""
        return b"Server ready"


class _Handler:
    """Hands mail from aiosmtpd to the mailboxes (its handler hooks)."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self,
        server: smtp.SMTP,
        session: smtp.Session,
        envelope: smtp.Envelope,
        address: str,
        options: list[str],
    ) -> str:
        del server, session
        if not self._server.knows(address):
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name)
        self, server: smtp.SMTP, session: smtp.Session, envelope: smtp.Envelope
    ) -> str:
        del server, session
        content = envelope.original_content or b""
        for address in envelope.rcpt_tos:
            sender = envelope.mail_from or ""
            trace = f"Return-Path: <{sender}>\r\nDelivered-To: {address}\r\n"
            await self._server.deliver(address, trace.encode() + content)
        return "250 2.0.0 Stored"

    def authenticate(
        self,
        server: smtp.SMTP,
        session: smtp.Session,
        envelope: smtp.Envelope,
        mechanism: str,
        data: smtp.LoginPassword,
    ) -> smtp.AuthResult:
        """Take any known account with its password."""
        del server, session, envelope, mechanism
        known = self._server.admits(data.login, data.password)
        return smtp.AuthResult(success=known, handled=False)


def _session(handler: _Handler) -> smtp.SMTP:
    return smtp.SMTP(
        handler,
        hostname="localhost",
        data_size_limit=_MAX_BYTES,
        authenticator=handler.authenticate,
        auth_require_tls=False,
        loop=asyncio.get_running_loop(),
    )


def _base(address: str) -> str:
    """Return the account that an address belongs to."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"
