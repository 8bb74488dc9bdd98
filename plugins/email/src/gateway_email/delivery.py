"""What connector and channel share: read the enclosures, submit, make the receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from gateway.errors import DeliveryError
from gateway.model import DeliveryId, Enclosure, Receipt, ReceiptStatus
from gateway.plugin import Context
from gateway_email import reply_token, smtp
from gateway_email.config import EmailSettings
from gateway_email.letters import Content
from gateway_email.oauth2 import Tokens
from gateway_email.recipients import Tally, failure, key_of, told
from gateway_email.render import message_id
from gateway_email.smtp import Refusal


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


async def send(  # noqa: PLR0913 (what a mail needs to go, named)
    mail: EmailMessage,
    recipients: Sequence[str],
    *,
    delivery_id: DeliveryId,
    attempt: int,
    settings: EmailSettings,
    context: Context[Any],
    tokens: Tokens | None = None,
) -> Receipt:
    """Submit a mail to those who have not had it yet.

    Who took it is remembered before anything else happens, so that nobody gets it
    twice because another could not take it yet.

    Raises:
        DeliveryError: not everybody who may still take it has it.

    """
    ours = message_id(delivery_id, settings.domain)
    several = len(recipients) > 1
    tally = Tally()
    if several:
        kept = await context.state.get(key_of(delivery_id))
        tally = Tally.read(kept).or_afresh(recipients, attempt)
    refusals: list[Refusal] = []
    if offered := tally.open(recipients):
        key = settings.key.get_secret_value().encode()
        token = reply_token.encode(UUID(delivery_id), key)
        refusals = await smtp.submit(
            settings, mail, offered, envelope_id=token, tokens=tokens
        )
        before, tally = tally, tally.after(offered, refusals)
        if several and (refusals or before != Tally()):
            await context.state.put(key_of(delivery_id), tally.to_json())
    error = failure(tally, recipients, refusals, ours)
    if error is not None:
        context.log.warning(
            "recipients_refused",
            code=error.code,
            replies=[refusal.code for refusal in refusals],
        )
        raise error
    return Receipt(
        status=ReceiptStatus.SENT,
        at=context.clock.now(),
        external_id=ours,
        delivery_id=delivery_id,
        code="smtp_partly_refused" if tally.refused else "",
        text=told(tally, recipients) if tally.refused else "",
    )
