"""A whole gateway with a PEC mailbox, between people and providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from uuid import uuid4

from gateway_email import EmailPlugin
from pec_provider import Network
from sqlalchemy import Connection

from gateway.app import Gateway, Parts
from gateway.clock import SystemClock
from gateway.store import schema
from gateway.testing.kit import running

_TOML = (Path(__file__).parent / "pec_town.toml").read_text()
_PATIENCE = 30


@dataclass(slots=True)
class MovedClock(SystemClock):
    """The system's clock, set forward at will."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Return the moved time."""
        return SystemClock().now() + self.ahead


def _box(name: str, domain: str) -> str:
    """Return a mailbox of the test's own: what comes late meets no other."""
    return f"{name}-{uuid4().hex[:8]}@{domain}"


@dataclass(slots=True, kw_only=True)
class Town:
    """The gateway, and who writes to it."""

    network: Network
    folder: Path
    gateway: Gateway = field(init=False, repr=False)
    clock: MovedClock = field(default_factory=MovedClock)
    us: str = field(default_factory=lambda: _box("urp", "pec-uno.test"))
    maria: str = field(default_factory=lambda: _box("maria", "pec-due.test"))
    office: str = field(default_factory=lambda: _box("ente", "pec-due.test"))

    @asynccontextmanager
    async def running(self, monkeypatch: Any) -> AsyncIterator[Town]:
        """Run gateway and providers."""
        peer = self.network.server
        self.network.city = self.us
        monkeypatch.setenv("PEER_PASSWORD", peer.password)
        monkeypatch.setenv("PEER_KEY", "0123456789abcdef")
        trust = self.folder / "trust.pem"
        trust.write_bytes(self.network.root.pem)
        toml = _TOML.format(
            peer=peer, data=self.folder, us=self.us, office=self.office, trust=trust
        )
        parts = Parts(clock=self.clock)
        async with (
            self.network.serving(),
            running(toml, self.folder, {"email": EmailPlugin()}, parts) as gateway,
        ):
            self.gateway = gateway
            yield self

    async def write(self, sender: str, text: str, **fields: str) -> None:
        """Write to the city by PEC."""
        mail = EmailMessage(policy=policy.SMTP)
        mail["From"], mail["To"] = sender, self.us
        mail["Message-ID"] = f"<{uuid4()}@webmail.test>"
        for name, value in {"Subject": "Acqua torbida", **fields}.items():
            mail[name.replace("_", "-")] = value
        mail.set_content(text)
        await self.network.submit(sender, [self.us], mail.as_bytes())

    async def received(self, address: str, purpose: str = "") -> EmailMessage:
        """Wait for a mail of the city to an address; return it as the reader has it.

        Its Message-ID is the provider's, as in the envelope.
        """
        async with asyncio.timeout(_PATIENCE):
            while True:
                for sent in self.network.submitted:
                    ours = sent.sender == self.us and address in sent.recipients
                    if ours and purpose in sent.subject + sent.raw.decode():
                        mail = BytesParser(policy=policy.default).parsebytes(sent.raw)
                        del mail["Message-ID"]
                        mail["Message-ID"] = sent.identifier
                        return mail
                await asyncio.sleep(0.05)

    async def rows(self, table: Any) -> list[Any]:
        """Return all rows of a table."""

        def work(connection: Connection) -> list[Any]:
            return list(connection.execute(table.select()))

        return await self.gateway.store.read(work)

    async def until(
        self, table: Any, fulfilled: Callable[[list[Any]], bool]
    ) -> list[Any]:
        """Wait until the rows of a table fulfil a condition."""
        async with asyncio.timeout(_PATIENCE):
            while not fulfilled(rows := await self.rows(table)):
                await asyncio.sleep(0.1)
        return rows

    async def delivery(self, target: str, state: str) -> Any:
        """Wait until a delivery to a target is in a state; return it."""

        def found(rows: list[Any]) -> list[Any]:
            return [r for r in rows if r.target == target and r.state == state]

        rows = await self.until(schema.delivery, lambda rows: bool(found(rows)))
        return found(rows)[0]

    async def evidence(self, count: int) -> list[Any]:
        """Wait for so many receipts of providers; return them."""

        def kept(rows: list[Any]) -> list[Any]:
            return [row for row in rows if row.inbox_id]

        return kept(
            await self.until(schema.receipt, lambda rows: len(kept(rows)) == count)
        )

    async def codes(self, delivery: Any) -> list[str]:
        """Return the codes of a delivery's receipts, the evidence only, sorted."""
        rows = await self.rows(schema.receipt)
        return sorted(
            row.code for row in rows if row.delivery_id == delivery.id and row.inbox_id
        )

    async def overdue(self, state: str, count: int) -> dict[str, int]:
        """Wait until so many receipts are late or missing; return what is."""
        monitor = self.gateway.monitor
        async with asyncio.timeout(_PATIENCE):
            while (found := (await monitor.readiness()).receipts)[state] != count:
                await asyncio.sleep(0.1)
        return found
