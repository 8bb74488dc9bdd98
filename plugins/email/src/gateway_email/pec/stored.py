"""A stored mail of a PEC mailbox → message or receipt; pure, and picklable."""

from __future__ import annotations

from dataclasses import replace

from gateway.errors import AttachmentError, PayloadError
from gateway.model import Inbound, Message, Receipt
from gateway_email import enclosed, parse
from gateway_email.evidence import Evidence
from gateway_email.pec import receipts, trust
from gateway_email.pec.account import pec
from gateway_email.pec.daticert import Daticert
from gateway_email.pec.reading import (
    Anomaly,
    Certified,
    Word,
    enclosed_mail,
    open_mail,
)
from gateway_email.pec.signature import Policy
from gateway_email.pec.tasks import Mailbox
from gateway_email.reading import with_appointments

CERTIFIED = "pec"
"""Flag of a message whose envelope has been verified."""

ANOMALY = "pec_anomaly"
"""Flag of ordinary mail that a provider wrapped."""

ORDINARY = "pec_ordinary"
"""Flag of ordinary mail that came as it was."""


def read_stored(
    inbound: Inbound, mailbox: Mailbox, *, unpacks: bool = False
) -> Message | Receipt:
    """Read a stored mail: a certified message, a receipt, or ordinary mail.

    ``unpacks``: also what is in a ``winmail.dat``.

    Raises:
        PayloadError: it is not believed, or can't be read.

    """
    original = inbound.original
    found = open_mail(original.body, _policy(mailbox), received_at=original.received_at)
    match found:
        case Word(data=data):
            return _receipt(data, mailbox) or _foreign(inbound, mailbox)
        case Certified(data=data, mail=mail):
            message = _read(_within(inbound, mail), mailbox, unpacks=unpacks)
            return _certified(data, message, mailbox)
        case Anomaly(mail=mail):
            message = _read(_within(inbound, mail), mailbox, unpacks=unpacks)
            return _ordinary(message, ANOMALY, mailbox)
    return _ordinary(_read(inbound, mailbox, unpacks=unpacks), ORDINARY, mailbox)


def part_content(raw: bytes, path: str) -> bytes:
    """Return the bytes of a part of the mail in a stored envelope.

    Raises:
        AttachmentError: there is no such part.

    """
    try:
        mail = enclosed_mail(raw)
    except PayloadError as error:
        raise AttachmentError("unreadable", str(error), retryable=False) from None
    return enclosed.part_content(mail, path)


def _policy(mailbox: Mailbox) -> Policy:
    try:
        certificates = trust.load(mailbox.trust)
    except ValueError as error:
        raise PayloadError("trust list", str(error)) from None
    return Policy(certificates=certificates, allow_sha1=mailbox.allow_sha1)


def _certified(data: Daticert, message: Message, mailbox: Mailbox) -> Message:
    """Read what a person wrote; the provider says who, and when."""
    if not any(mailbox.owns(each.address) for each in data.recipients):
        # A genuine envelope of somebody else's mail, handed on to us.
        raise PayloadError("daticert.xml", "this mailbox is not among its recipients")
    return replace(
        message,
        external_id=data.message_id or message.external_id,
        sender=pec(data.sender),
        sent_at=data.at,
        authentic=True,
        flags=(*message.flags, CERTIFIED),
    )


def _ordinary(message: Message, flag: str, mailbox: Mailbox) -> Message:
    """Mark ordinary mail; nothing certifies who wrote it."""
    return replace(
        message,
        automatic=message.automatic or mailbox.owns(message.sender.value),
        authentic=False,
        flags=(*message.flags, flag),
    )


def _receipt(data: Daticert, mailbox: Mailbox) -> Receipt | None:
    """Return what a provider says of a delivery of ours; None if it is of none."""
    if not mailbox.owns(data.sender):
        return None
    evidence = Evidence(key=mailbox.key, domain=mailbox.domain)
    named = evidence.find([data.message_id])
    return receipts.to_receipt(data, named.pop()) if len(named) == 1 else None


def _foreign(inbound: Inbound, mailbox: Mailbox) -> Message:
    """Keep a receipt on a mail that was written elsewhere, for staff to see."""
    return replace(_read(inbound, mailbox, unpacks=False), automatic=True)


def _read(inbound: Inbound, mailbox: Mailbox, *, unpacks: bool) -> Message:
    message = parse.parse(
        inbound, key=mailbox.key, domain=mailbox.domain, unpacks=unpacks
    )
    return with_appointments(message, inbound.original.body, mailbox.language)


def _within(inbound: Inbound, mail: bytes) -> Inbound:
    """Return the item as if the mail in the envelope had come by itself."""
    return replace(inbound, original=replace(inbound.original, body=mail))
