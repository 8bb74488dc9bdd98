"""A provider's word → the gateway's receipt; pure (RFC 6109 §3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from gateway.model import DeliveryId, Expectation, Receipt, ReceiptStatus
from gateway_email.pec.daticert import Daticert
from gateway_email.status_codes import enhanced_code, without_addresses

ACCEPTANCE: Final = timedelta(minutes=15)
"""How long a provider may take to accept before somebody is warned."""

OUTCOME: Final = timedelta(hours=25)
"""The legal 24 hours to say what became of it (DM 2 Nov 2005, §6.3.4-6.3.6), and one
for the way of the word."""

_HALF: Final = timedelta(hours=13)
"""What is left of that when the notice of 12 hours has come."""

_TEXT_LIMIT = 400


def on_sending(recipients: int) -> Expectation:
    """Return what must follow once the provider's server has taken a mail."""
    return Expectation(within=OUTCOME, warn_after=ACCEPTANCE, recipients=recipients)


def to_receipt(data: Daticert, delivery: DeliveryId) -> Receipt | None:
    """Return what a word means for a delivery of ours; None if the kind is unknown."""
    reading = _READINGS.get(data.kind)
    return None if reading is None else reading(data, delivery)


def _accepted(data: Daticert, delivery: DeliveryId) -> Receipt:
    """Read ``accettazione``; ordinary mailboxes give no further word."""
    return Receipt(
        status=ReceiptStatus.SENT,
        at=data.at,
        delivery_id=delivery,
        code=data.kind,
        reference=data.identifier,
        expects=_of_all(data),
    )


def _of_all(data: Daticert) -> Expectation:
    """Return what must come of all recipients; each word names them and their kind."""
    certified = sum(each.certified for each in data.recipients)
    return Expectation(within=OUTCOME, recipients=certified)


def _on_the_way(data: Daticert, delivery: DeliveryId) -> Receipt:
    return Receipt(
        status=ReceiptStatus.SENT, at=data.at, delivery_id=delivery, code=data.kind
    )


def _delayed(data: Daticert, delivery: DeliveryId) -> Receipt:
    """Read ``preavviso-errore-consegna``: a warning, not the end."""
    return Receipt(
        status=ReceiptStatus.SENT,
        at=data.at,
        delivery_id=delivery,
        code=data.kind,
        text=_explanation(data),
        recipient=data.recipient,
        expects=Expectation(within=_HALF, warn_after=timedelta(0), recipients=None),
    )


def _delivered(data: Daticert, delivery: DeliveryId) -> Receipt:
    """Read ``avvenuta-consegna``; it may be here before the acceptance."""
    return Receipt(
        status=ReceiptStatus.DELIVERED,
        at=data.at,
        delivery_id=delivery,
        code=data.kind,
        text=data.receipt,
        recipient=data.recipient,
        expects=_of_all(data) if data.recipients else None,
    )


def _failed(data: Daticert, delivery: DeliveryId) -> Receipt:
    """Read a failure: the enhanced code counts, ``errore`` often says only "altro"."""
    return Receipt(
        status=ReceiptStatus.FAILED,
        at=data.at,
        delivery_id=delivery,
        code=enhanced_code(data.explanation) or data.error,
        text=_explanation(data),
        recipient=data.recipient,
    )


def _explanation(data: Daticert) -> str:
    said = without_addresses(data.explanation)[:_TEXT_LIMIT]
    return f"{data.kind}: {said}" if said else data.kind


_READINGS: Mapping[str, Callable[[Daticert, DeliveryId], Receipt]] = MappingProxyType(
    {
        "accettazione": _accepted,
        "non-accettazione": _failed,
        "presa-in-carico": _on_the_way,
        "avvenuta-consegna": _delivered,
        "errore-consegna": _failed,
        "preavviso-errore-consegna": _delayed,
        "rilevazione-virus": _failed,
    }
)
