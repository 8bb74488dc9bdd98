"""What a mail in a PEC mailbox is; pure, and believed only once it is verified.

``X-Trasporto`` is looked at first: an envelope bears ``X-Riferimento-Message-ID``, too,
and would else be taken for a receipt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import PayloadError
from gateway_email import headers
from gateway_email.headers import raw_value
from gateway_email.pec import daticert, envelope
from gateway_email.pec.daticert import Daticert
from gateway_email.pec.envelope import Section, Signed
from gateway_email.pec.signature import Doubt, Policy, Untrusted, verify

ENVELOPE = "posta-certificata"
"""Value of X-Trasporto, and kind in daticert.xml, of what a person wrote."""

ANOMALY = "errore"
"""Value of X-Trasporto of ordinary mail that the provider wrapped."""

_TRANSPORT = "X-Trasporto"
_RECEIPT = "X-Ricevuta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What a person wrote by PEC: the mail as it was sent, and the provider's word."""

    data: Daticert
    mail: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Ordinary mail that a provider wrapped: who sent it, nobody certifies."""

    mail: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A provider's receipt on a mail that somebody sent."""

    data: Daticert


def is_ordinary(raw: bytes) -> bool:
    """Tell whether a mail does not even claim to come from a provider."""
    head = headers.read_headers(raw)
    return not (raw_value(head, _TRANSPORT) or raw_value(head, _RECEIPT))


def open_mail(
    raw: bytes, policy: Policy, *, received_at: datetime
) -> Certified | Anomaly | Word | None:
    """Verify a mail and say what it is; None if it is ordinary mail.

    Raises:
        PayloadError: it claims to come from a provider, and is not to be believed, or
            what the provider signed can't be read.

    """
    head = headers.read_headers(raw)
    transport = raw_value(head, _TRANSPORT).lower()
    receipt = raw_value(head, _RECEIPT).lower()
    if not (transport or receipt):
        return None
    signed = _verified(raw, head, policy, received_at)
    sections = signed.sections()
    if transport == ANOMALY:
        return Anomaly(mail=_enclosed(sections))
    data = _data(sections)
    if data.kind != (transport or receipt):
        raise PayloadError("daticert.xml: tipo", "not what the header says")
    if not transport:
        return Word(data=data)
    if transport != ENVELOPE:
        raise PayloadError(_TRANSPORT, "neither posta-certificata nor errore")
    mail = _enclosed(sections)
    _require_sender(mail, data)
    return Certified(data=data, mail=mail)


def enclosed_mail(raw: bytes) -> bytes:
    """Return the mail in an envelope that has been verified; ``raw`` if it is none.

    Raises:
        PayloadError: there is none in it.

    """
    if is_ordinary(raw):
        return raw
    return _enclosed(envelope.read_signed(raw).sections())


def _verified(
    raw: bytes, head: headers.Mail, policy: Policy, received_at: datetime
) -> Signed:
    sender = headers.sender(head)
    if sender is None:
        raise PayloadError("From", "expected one readable address")
    if head.get_content_type() != "multipart/signed":
        raise Untrusted(Doubt.UNSIGNED)
    signed = envelope.read_signed(raw)
    verify(signed, policy, sender=sender.addr_spec, received_at=received_at)
    return signed


def _data(sections: Sequence[Section]) -> Daticert:
    found = [
        each
        for each in sections
        if each.name == "daticert.xml"
        or (not each.name and each.media_type in ("application/xml", "text/xml"))
    ]
    if len(found) != 1:
        raise PayloadError("daticert.xml", f"expected one, got {len(found)}")
    return daticert.read(found[0].content())


def _enclosed(sections: Sequence[Section]) -> bytes:
    """Return the mail that was wrapped, byte for byte."""
    found = [
        each
        for each in sections
        if each.media_type == "message/rfc822" or each.name == "postacert.eml"
    ]
    if len(found) != 1:
        raise PayloadError("postacert.eml", f"expected one, got {len(found)}")
    return found[0].content()


def _require_sender(mail: bytes, data: Daticert) -> None:
    """Hold the writer's From to the account that the provider certifies."""
    sender = headers.sender(headers.read_headers(mail))
    if sender is None or sender.addr_spec.lower() != data.sender:
        raise PayloadError("postacert.eml: From", "not the certified sender")
