"""What connector and channel share: read the enclosures, submit, make the receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from email.message import EmailMessage
from uuid import UUID

from gateway.clock import Clock
from gateway.errors import DeliveryError
from gateway.model import DeliveryId, Enclosure, Receipt, ReceiptStatus
from gateway_email import reply_token, smtp
from gateway_email.config import EmailSettings
from gateway_email.letters import Content
from gateway_email.render import message_id


async def read_enclosures(
    enclosures: Sequence[Enclosure], max_bytes: int
) -> list[Content]:
    """Read the files that fit into ``max_bytes`` together, in order.

    Raises:
        DeliveryError: a file can't be read.

    """
    contents: list[Content] = []
    room = max_bytes
    for enclosure in enclosures:
        fits = enclosure.size <= room
        octets = await _read(enclosure) if fits else None
        room -= enclosure.size if fits else 0
        contents.append((enclosure, octets))
    return contents


async def _read(enclosure: Enclosure) -> bytes:
    try:
        return await asyncio.to_thread(enclosure.path.read_bytes)
    except OSError as error:
        text = f"attachment {enclosure.sha256[:12]}: {type(error).__name__}"
        raise DeliveryError("enclosure_unreadable", text, retryable=True) from None


async def send(
    mail: EmailMessage,
    recipients: Sequence[str],
    *,
    delivery_id: DeliveryId,
    settings: EmailSettings,
    clock: Clock,
) -> Receipt:
    """Submit a mail; one recipient that takes it makes it sent.

    Those that refused are counted in the receipt's text: a second mail to the others
    would be worse than telling the staff.
    """
    key = settings.key.get_secret_value().encode()
    token = reply_token.encode(UUID(delivery_id), key)
    refusals = await smtp.submit(settings, mail, recipients, envelope_id=token)
    codes = ", ".join(str(refusal.code) for refusal in refusals)
    return Receipt(
        status=ReceiptStatus.SENT,
        at=clock.now(),
        external_id=message_id(delivery_id, settings.domain),
        delivery_id=delivery_id,
        code="smtp_partly_refused" if refusals else "",
        text=f"{len(refusals)} of {len(recipients)} recipients refused: {codes}"
        if refusals
        else "",
    )
