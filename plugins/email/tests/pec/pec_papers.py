"""Envelopes and receipts as providers make them, of the shape of real ones.

The words are in ``words/``, one file for each kind.
"""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from string import Template
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7Options,
    PKCS7SignatureBuilder,
)
from pec_authority import Identity

_FOLDER = Path(__file__).parent / "words"
_ROME = ZoneInfo("Europe/Rome")
_SUBJECTS = {
    "accettazione": "ACCETTAZIONE",
    "non-accettazione": "AVVISO DI NON ACCETTAZIONE",
    "presa-in-carico": "PRESA IN CARICO",
    "avvenuta-consegna": "CONSEGNA",
    "errore-consegna": "AVVISO DI MANCATA CONSEGNA",
    "preavviso-errore-consegna": ("AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO"),
    "rilevazione-virus": "PROBLEMA DI SICUREZZA",
    "posta-certificata": "POSTA CERTIFICATA",
    "errore": "ANOMALIA MESSAGGIO",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What ``daticert.xml`` says; ``recipients`` by address, with their kind."""

    kind: str
    sender: str
    recipients: Mapping[str, str]
    subject: str
    at: datetime
    identifier: str
    message_id: str = ""
    receipt: str = ""
    consigned: str = ""
    error: str = "nessuno"
    explanation: str = ""
    provider: str = "Gestore di Prova S.p.A."
    doctype: str = ""

    def xml(self) -> bytes:
        """Return it as XML, as RFC 6109 §4.4 has it."""
        local = self.at.astimezone(_ROME)
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            *([self.doctype] if self.doctype else []),
            f"<postacert tipo={quoteattr(self.kind)} errore={quoteattr(self.error)}>",
            "    <intestazione>",
            f"        <mittente>{escape(self.sender)}</mittente>",
            *(
                f"        <destinatari tipo={quoteattr(kind)}>{escape(address)}"
                "</destinatari>"
                for address, kind in self.recipients.items()
            ),
            f"        <risposte>{escape(self.sender)}</risposte>",
            f"        <oggetto>{escape(self.subject)}</oggetto>",
            "    </intestazione>",
            "    <dati>",
            f"        <gestore-emittente>{escape(self.provider)}</gestore-emittente>",
            f'        <data zona="{local:%z}">',
            f"            <giorno>{local:%d/%m/%Y}</giorno>",
            f"            <ora>{local:%H:%M:%S}</ora>",
            "        </data>",
            _element("identificativo", self.identifier.strip("<>")),
            _element("msgid", self.message_id),
            f"        <ricevuta tipo={quoteattr(self.receipt)}/>"
            if self.receipt
            else "",
            _element("consegna", self.consigned),
            _element("errore-esteso", self.explanation),
            "    </dati>",
            "</postacert>",
        ]
        return "\n".join(line for line in lines if line).encode() + b"\n"


def _element(name: str, text: str) -> str:
    return f"        <{name}>{escape(text)}</{name}>" if text else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A mail that a provider writes: ``fields`` on top, ``mail`` wrapped in it."""

    sender: str
    to: str
    certificate: Certificate | None
    at: datetime
    identifier: str
    subject: str
    transport: str = ""
    receipt: str = ""
    reference: str = ""
    display: str = ""
    mail: bytes | None = None
    extra: Sequence[tuple[str, str]] = field(default=())
    micalg: str = "sha-256"

    def signed_by(self, identity: Identity) -> bytes:
        """Return the whole mail, signed (RFC 8551 §3.5.3)."""
        content = self.content()
        return self.with_signature(content, sign(content, identity))

    def with_signature(self, content: bytes, signature: bytes) -> bytes:
        """Return the whole mail around a content and a signature in DER."""
        boundary = f"----{self.identifier.strip('<>')[:24]}"
        head = [
            f"Return-Path: <{self.sender}>",
            f"Subject: {_SUBJECTS[self.transport or self.receipt]}: {self.subject}",
            *(
                [f"X-Riferimento-Message-ID: {self.reference}"]
                if self.reference
                else []
            ),
            f"Date: {format_datetime(self.at.astimezone(_ROME))}",
            f"To: {self.to}",
            *([f"X-Trasporto: {self.transport}"] if self.transport else []),
            *([f"X-Ricevuta: {self.receipt}"] if self.receipt else []),
            *(f"{name}: {value}" for name, value in self.extra),
            f"From: {self._from()}",
            "MIME-Version: 1.0",
            'Content-Type: multipart/signed; protocol="application/x-pkcs7-signature";',
            f' micalg="{self.micalg}"; boundary="{boundary}"',
            f"Message-ID: {self.identifier}",
            "",
            "This is an S/MIME signed message",
            "",
            f"--{boundary}",
        ]
        tail = [
            "",
            f"--{boundary}",
            'Content-Type: application/x-pkcs7-signature; name="smime.p7s"',
            "Content-Transfer-Encoding: base64",
            'Content-Disposition: attachment; filename="smime.p7s"',
            "",
            *textwrap.wrap(base64.b64encode(signature).decode(), 64),
            "",
            f"--{boundary}--",
            "",
        ]
        return _lines(head) + content + _lines(tail)

    def _from(self) -> str:
        return f'"{self.display}" <{self.sender}>' if self.display else self.sender

    def content(self) -> bytes:
        """Return what is signed."""
        mixed = f"----------=_{self.identifier.strip('<>')[:16]}-1"
        parts = [
            [
                f'Content-Type: multipart/mixed; boundary="{mixed}"',
                "Content-Transfer-Encoding: binary",
                "MIME-Version: 1.0",
                "",
                f"--{mixed}",
                'Content-Type: text/plain; charset="iso-8859-1"',
                "Content-Disposition: inline",
                "Content-Transfer-Encoding: 8bit",
                "",
            ]
        ]
        body = _lines(parts[0]) + self._words()
        if self.certificate is not None:
            encoded = base64.b64encode(self.certificate.xml()).decode()
            body += _lines(
                [
                    f"--{mixed}",
                    'Content-Type: application/xml; name="daticert.xml"',
                    'Content-Disposition: inline; filename="daticert.xml"',
                    "Content-Transfer-Encoding: base64",
                    "",
                    *textwrap.wrap(encoded, 76),
                    "",
                ]
            )
        if self.mail is not None:
            body += _lines(
                [
                    f"--{mixed}",
                    'Content-Type: message/rfc822; name="postacert.eml"',
                    'Content-Disposition: inline; filename="postacert.eml"',
                    "",
                ]
            )
            body += self.mail + b"\r\n"
        return body + f"--{mixed}--\r\n".encode()

    def _words(self) -> bytes:
        """Return the text for people, as Latin-1."""
        name = self.transport or self.receipt
        words = Template((_FOLDER / f"{name}.txt").read_text())
        certificate = self.certificate
        text = words.substitute(
            subject=self.subject,
            sender=certificate.sender if certificate else "sconosciuto",
            recipients=", ".join(certificate.recipients) if certificate else self.to,
            consigned=certificate.consigned if certificate else "",
            explanation=certificate.explanation if certificate else "",
            identifier=self.identifier.strip("<>"),
            at=f"{self.at.astimezone(_ROME):%d/%m/%Y alle ore %H:%M:%S (%z)}",
        )
        return text.replace("\n", "\r\n").encode("iso-8859-1", "replace")


def sign(content: bytes, identity: Identity) -> bytes:
    """Return a detached signature in DER over exactly these octets."""
    builder = PKCS7SignatureBuilder().set_data(content)
    builder = builder.add_signer(identity.certificate, identity.key, SHA256())
    for each in identity.chain:
        builder = builder.add_certificate(each)
    options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary]
    return builder.sign(Encoding.DER, options)


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8")
