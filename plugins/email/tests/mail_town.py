"""A town whose citizens write to a folder of their own on Dovecot.

Each town has a folder in the mailbox of urp@comune.test and an office at a
plus-address, so many towns share one server. What a citizen wrote is known by its mark
(`Ledger.sent`); what came of it is read from the database, the folders and the office's
mailbox.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from aioimaplib import aioimaplib

from gateway.testing import forked

URP, OFFICE, CITIZENS = "urp@comune.test", "strade@comune.test", "cittadino@comune.test"
TOML = (Path(__file__).parent / "fixtures" / "mail_town.toml").read_text()
SECRETS = {"PEER_PASSWORD": "segreta", "PEER_KEY": "0123456789abcdef"}
HANDED = re.compile(rb"segno-([0-9a-f]{32})")
TOLD = re.compile(rb"^To:.*cittadino\+([0-9a-f]{32})@", re.MULTILINE)
MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>]+>)", re.MULTILINE | re.IGNORECASE)
REPEATED = re.compile(rb"^X-Gateway-Possible-Duplicate: yes", re.MULTILINE)


@dataclass
class Town:
    """One gateway's surroundings."""

    peer: Any
    folder: Path
    name: str = field(default_factory=lambda: uuid4().hex)
    sent: dict[str, bytes] = field(default_factory=dict)
    """Mark → mail, for every mail that a citizen wrote."""

    database: str = "sqlite:///gateway.db"

    concurrency: int = 8
    """Deliveries at once, to the office and to citizens each."""

    @property
    def source(self) -> str:
        """Return the folder that citizens' mail comes into."""
        return f"Posta-{self.name}"

    @property
    def done(self) -> str:
        """Return the folder that collected mail is moved to."""
        return f"Fatto-{self.name}"

    def toml(self, **ports: int) -> str:
        """Return the configuration; ``imap`` and ``smtp`` may lead through a proxy."""
        return TOML.format(
            name=self.name,
            database=self.database,
            concurrency=self.concurrency,
            data=self.folder / "data",
            imap=ports.get("imap", self.peer.imap_starttls_port),
            smtp=ports.get("smtp", self.peer.smtp_port),
        )

    async def write(self, count: int) -> None:
        """Let citizens write; each mail is on the ledger before it is sent."""
        async with client(self.peer, URP) as imap:
            await imap.create(self.source)
            for _ in range(count):
                mark = uuid4().hex
                self.sent[mark] = _mail(mark)
                assert "OK" == (await imap.append(self.sent[mark], self.source)).result

    async def left(self) -> int:
        """Count the mails that were not moved yet."""
        async with client(self.peer, URP) as imap:
            return len(await _bodies(imap, self.source))

    async def reached(self) -> dict[str, list[bytes]]:
        """Return mark → each mail with it that the office got."""
        return await self._marked(OFFICE, f'HEADER To "{self.name}"', HANDED)

    async def told(self) -> dict[str, list[bytes]]:
        """Return mark → each notice that its citizen got."""
        return await self._marked(CITIZENS, "ALL", TOLD)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the stored originals: external id, bytes."""
        statement = """
            SELECT inbox.external_id, original.body
              FROM inbox JOIN original ON original.id = inbox.original_id
        """
        if self.database.startswith("postgresql"):
            with psycopg.connect(self.database) as connection:
                return connection.execute(statement).fetchall()
        path = self.folder / "data" / "gateway.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return connection.execute(statement).fetchall()

    @asynccontextmanager
    async def daemon(self, **environment: str) -> AsyncIterator[forked.Command]:
        """Run a daemon as a process of its own; kill it at the end."""
        (self.folder / "gateway.toml").write_text(self.toml())
        process = forked.Command(
            self.folder, "run", environment=os.environ | SECRETS | environment
        )
        try:
            yield process
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def complaints(self, doubles: Container[int]) -> list[str]:
        """Hold the ledger against all there is; so many mails went out again.

        Every mail is one row and was moved; its office got it and its citizen a notice,
        each repetition under the same Message-ID and named as one.
        """
        expected = sorted(self.sent.values())
        async with client(self.peer, URP) as imap:
            left, moved = (
                await _bodies(imap, self.source),
                await _bodies(imap, self.done),
            )
        found = {
            "rows": [bytes(body) for _, body in self.rows()],
            "mails in the folder for what is done": moved,
        }
        wrong = [
            f"{len(bodies)} {what}, {len(expected)} mails sent"
            for what, bodies in found.items()
            if sorted(bodies) != expected
        ]
        if left:
            wrong.append(f"{len(left)} mails were not moved")
        got, told = await self.reached(), await self.told()
        if missing := self.sent.keys() - got.keys():
            wrong.append(f"{len(missing)} mails never reached the office")
        if missing := self.sent.keys() - told.keys():
            wrong.append(f"{len(missing)} citizens were never told")
        came = [*got.values(), *told.values()]
        if (again := sum(len(mails) - 1 for mails in came)) not in doubles:
            wrong.append(f"{again} mails went out again, not {doubles}")
        return wrong + [text for mails in came for text in _unlike(mails)]

    async def is_well(self) -> bool:
        """Tell whether every mail was moved, handed over and answered."""
        if await self.left():
            return False
        got, told = await self.reached(), await self.told()
        return self.sent.keys() <= got.keys() & told.keys()

    async def _marked(
        self, account: str, search: str, pattern: re.Pattern[bytes]
    ) -> dict[str, list[bytes]]:
        found = defaultdict(list)
        async with client(self.peer, account) as imap:
            for raw in await _bodies(imap, "INBOX", search):
                for mark in {each.decode() for each in pattern.findall(raw)}:
                    if mark in self.sent:
                        found[mark].append(raw)
        return found


def _unlike(mails: list[bytes]) -> list[str]:
    ids = {match[1] for mail in mails if (match := MESSAGE_ID.search(mail))}
    named = sum(bool(REPEATED.search(mail)) for mail in mails)
    wrong = []
    if len(ids) != 1:
        wrong.append(f"a repeated mail has {len(ids)} Message-IDs")
    if named < len(mails) - 1:
        wrong.append("a repetition is not named as one")
    return wrong


def _mail(mark: str) -> bytes:
    """Return what a citizen writes, each from an address of their own."""
    text = (Path(__file__).parent / "fixtures" / "mail_town.eml").read_bytes()
    return text.replace(b"{mark}", mark.encode()).replace(b"\n", b"\r\n")


@asynccontextmanager
async def client(peer: Any, account: str) -> AsyncIterator[aioimaplib.IMAP4]:
    """Log somebody else in to a mailbox."""
    made = aioimaplib.IMAP4("127.0.0.1", peer.imap_starttls_port)
    await made.wait_hello_from_server()
    await made.login(account, peer.password)
    yield made
    await made.logout()


async def _bodies(imap: Any, folder: str, what: str = "ALL") -> list[bytes]:
    """Return the mails in a folder that answer to a search."""
    if (await imap.select(folder)).result != "OK":
        return []
    lines = (await imap.uid_search(what, charset=None)).lines
    uids = [word.decode() for line in lines[:-1] for word in line.split()]
    found = []
    for start in range(0, len(uids), 50):
        chosen = ",".join(uids[start : start + 50])
        answer = await imap.uid("fetch", chosen, "(BODY.PEEK[])")
        found += [bytes(each) for each in answer.lines if isinstance(each, bytearray)]
    return found


async def eventually(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until an asynchronous condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)
