"""Two providers of registered mail behind a real Postfix, for tests.

Postfix hands over what was submitted; the providers write envelopes and receipts and
put them into the mailboxes. They do as they are told: see `Habits`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesHeaderParser
from itertools import count
from typing import Any
from uuid import uuid4

import aiosmtplib
from aiosmtpd.smtp import SMTP
from pec_authority import Identity, authority, provider
from pec_papers import Certificate, Paper

PROVIDERS = {
    "pec-uno.test": "posta-certificata@pec-uno.test",
    "pec-due.test": "posta-certificata@pec-due.test",
}
"""The signer of each domain with certified mailboxes."""

_MESSAGE_ID = re.compile(rb"(?im)^Message-ID:[^\r\n]*")


@dataclass(slots=True, kw_only=True)
class Habits:
    """How the providers behave towards what the city writes.

    ``failures`` maps an address to error and explanation of its non-delivery. Without
    ``accepts`` nobody ever says anything; without ``reports`` nothing after the
    acceptance. ``forge`` signs receipts, ``tamper`` changes them once signed.
    """

    accepts: bool = True
    reports: bool = True
    delays: bool = False
    refusal: tuple[str, str] | None = None
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    forge: Identity | None = None
    tamper: Callable[[bytes], bytes] = lambda raw: raw


@dataclass(slots=True, kw_only=True)
class Sent:
    """A mail that somebody has submitted, as the providers work on it."""

    sender: str
    recipients: list[str]
    raw: bytes
    identifier: str
    message_id: str
    subject: str
    receipt: str

    def kinds(self) -> dict[str, str]:
        """Return the recipients, certified or not."""
        return {
            each: "certificato" if _domain(each) in PROVIDERS else "esterno"
            for each in self.recipients
        }


class Network:
    """The providers, with their authority; makes the mail between them."""

    def __init__(self, server: Any) -> None:
        """Serve behind the mail server ``server``."""
        self.server = server
        self.habits = Habits()
        self.city = ""
        self.root = authority("AC dei gestori di prova")
        self.identities = {
            signer: provider(self.root, signer) for signer in PROVIDERS.values()
        }
        self.submitted: list[Sent] = []
        self._numbers = count(1)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Take what Postfix hands over."""
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: SMTP(self, hostname="localhost", loop=loop),
            "127.0.0.1",
            self.server.pec_provider_port,
        )
        try:
            yield
        finally:
            listening.close()
            await listening.wait_closed()

    async def handle_DATA(  # noqa: N802 (the library's name)
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        """Take a mail, and do with it what providers do."""
        sent = self._read(envelope)
        self.submitted.append(sent)
        await self._work(sent)
        return "250 taken"

    def _read(self, envelope: Any) -> Sent:
        head = BytesHeaderParser(policy=policy.default).parsebytes(envelope.content)
        return Sent(
            sender=envelope.mail_from,
            recipients=list(envelope.rcpt_tos),
            raw=envelope.content,
            identifier=self._identifier(envelope.mail_from),
            message_id=str(head["Message-ID"]),
            subject=str(head["Subject"]),
            receipt=str(head["X-TipoRicevuta"] or "completa"),
        )

    def _identifier(self, address: str) -> str:
        number = next(self._numbers)
        return f"<opec{number}.{uuid4().hex[:12]}@{_domain(address)}>"

    def _habits(self, sent: Sent) -> Habits:
        return self.habits if sent.sender == self.city else Habits()

    async def _work(self, sent: Sent) -> None:
        habits = self._habits(sent)
        if not habits.accepts:
            return
        if habits.refusal is not None:
            error, explanation = habits.refusal
            await self.say(
                sent, "non-accettazione", error=error, explanation=explanation
            )
            return
        await self.say(sent, "accettazione")
        for recipient, kind in sent.kinds().items():
            await self._deliver(sent, recipient, kind)

    async def _deliver(self, sent: Sent, recipient: str, kind: str) -> None:
        habits = self._habits(sent)
        if recipient in habits.failures:
            error, explanation = habits.failures[recipient]
            await self.say(
                sent,
                "errore-consegna",
                consigned=recipient,
                error=error,
                explanation=explanation,
            )
            return
        if habits.delays:
            await self.say(
                sent,
                "preavviso-errore-consegna",
                consigned=recipient,
                error="altro",
                explanation="5.4.7 - Gestore - superamento di 12 ore",
            )
            return
        if not habits.reports:
            return
        await self.put(recipient, self._envelope(sent, recipient))
        if kind == "certificato":
            await self.say(
                sent, "avvenuta-consegna", consigned=recipient, receipt=sent.receipt
            )

    async def say(self, sent: Sent, kind: str, **told: Any) -> None:
        """Put a receipt into the sender's mailbox, signed by whose word it is."""
        recipient = told.get("consigned") or sent.sender
        signer = _signer(recipient)
        whole = kind == "avvenuta-consegna" and sent.receipt != "sintetica"
        paper = self._paper(sent, kind, signer, sent.sender, **told)
        paper = replace(paper, receipt=kind, mail=sent.raw if whole else None)
        identity = self.habits.forge or self.identities[signer]
        raw = self.habits.tamper(paper.signed_by(identity))
        await self.put(sent.sender, raw)

    def _envelope(self, sent: Sent, recipient: str) -> bytes:
        """Wrap a mail; its id becomes the provider's, as it does in real ones."""
        signer = PROVIDERS[_domain(sent.sender)]
        paper = self._paper(
            sent, "posta-certificata", signer, recipient, receipt=sent.receipt
        )
        line = f"Message-ID: {sent.identifier}".encode()
        paper = replace(
            paper,
            transport="posta-certificata",
            display=f"Per conto di: {sent.sender}",
            mail=_MESSAGE_ID.sub(line, sent.raw, count=1),
        )
        return paper.signed_by(self.identities[signer])

    def _paper(self, sent: Sent, kind: str, signer: str, to: str, **told: Any) -> Paper:
        at = datetime.now(UTC)
        if "consigned" in told:
            # What becomes of a mail comes after its acceptance; times have seconds.
            at += timedelta(seconds=1)
        own = kind == "posta-certificata"
        certificate = Certificate(
            kind=kind,
            sender=sent.sender,
            recipients=sent.kinds(),
            subject=sent.subject,
            at=at,
            identifier=sent.identifier,
            message_id=sent.message_id,
            **told,
        )
        return Paper(
            sender=signer,
            to=to,
            certificate=certificate,
            at=at,
            identifier=sent.identifier if own else self._identifier(signer),
            subject="".join(c for c in sent.subject if c.isascii()),
            reference=sent.message_id,
        )

    async def anomaly(self, to: str, raw: bytes) -> None:
        """Wrap ordinary mail, as a provider does with what strangers write."""
        signer = PROVIDERS[_domain(to)]
        paper = Paper(
            sender=signer,
            to=to,
            certificate=None,
            at=datetime.now(UTC),
            identifier=self._identifier(signer),
            subject="posta ordinaria",
            transport="errore",
            mail=raw,
        )
        await self.put(to, paper.signed_by(self.identities[signer]))

    async def put(self, to: str, raw: bytes) -> None:
        """Put a mail into a mailbox."""
        await aiosmtplib.send(
            raw,
            sender=_signer(to),
            recipients=[to],
            hostname=self.server.host,
            port=self.server.smtp_port,
            start_tls=False,
        )

    async def submit(self, sender: str, to: list[str], raw: bytes) -> None:
        """Submit a mail as a person does by their own program."""
        await aiosmtplib.send(
            raw,
            sender=sender,
            recipients=to,
            hostname=self.server.host,
            port=self.server.pec_submission_port,
            use_tls=True,
            tls_context=self._tls(),
            username=sender,
            password=self.server.password,
        )

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.server.cafile)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _signer(address: str) -> str:
    """Return who signs for a mailbox; for those of nobody, the first provider."""
    return PROVIDERS.get(_domain(address), PROVIDERS["pec-uno.test"])
