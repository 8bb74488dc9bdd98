"""The channel: a mailbox of registered mail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from gateway.errors import AttachmentError, DeliveryError, PayloadError
from gateway.model import (
    Attachment,
    ChannelId,
    DeliveryId,
    Health,
    HealthStatus,
    Inbound,
    Message,
    Original,
    Outgoing,
    Receipt,
)
from gateway.plugin import Context
from gateway_email import smtp
from gateway_email.channel import EmailChannel
from gateway_email.config import is_address
from gateway_email.delivery import read_enclosures
from gateway_email.evidence import Evidence
from gateway_email.parse import parse
from gateway_email.pec import receipts, trust
from gateway_email.pec.account import Account, pec
from gateway_email.pec.config import PecChannelConfig
from gateway_email.pec.daticert import Daticert
from gateway_email.pec.reading import (
    Anomaly,
    Certified,
    Word,
    enclosed_mail,
    open_mail,
)
from gateway_email.pec.signature import Policy
from gateway_email.render import render_outgoing

CERTIFIED = "pec"
"""Flag of a message whose envelope has been verified."""

ANOMALY = "pec_anomaly"
"""Flag of ordinary mail that a provider wrapped."""

ORDINARY = "pec_ordinary"
"""Flag of ordinary mail that came as it was."""


class PecChannel(EmailChannel):
    """Reads envelopes and receipts of a PEC mailbox, answers from it.

    What claims to come from a provider and does not verify is not read: it is kept,
    and staff see why (dead letter ``unreadable``).
    """

    grace_seconds = receipts.ACCEPTANCE.total_seconds()
    """A receipt of acceptance tells whether an interrupted send has succeeded."""

    config: PecChannelConfig

    def __init__(
        self, channel_id: ChannelId, config: PecChannelConfig, context: Context[Any]
    ) -> None:
        """Keep what is needed; nothing is opened."""
        super().__init__(channel_id, config, context)
        self.account = Account.of(config, context.config)

    def parse(self, inbound: Inbound) -> Message | Receipt:
        """Read a stored mail: a certified message, a receipt, or ordinary mail.

        Raises:
            PayloadError: it is not believed, or can't be read; it is kept and shown.

        """
        original = inbound.original
        found = open_mail(
            original.body, self._policy(), received_at=original.received_at
        )
        match found:
            case Word(data=data):
                return self._receipt(data) or self._foreign(inbound)
            case Certified(data=data, mail=mail):
                return self._certified(data, _within(inbound, mail))
            case Anomaly(mail=mail):
                return self._ordinary(_within(inbound, mail), ANOMALY)
        return self._ordinary(inbound, ORDINARY)

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Answer a citizen from the PEC mailbox.

        Raises:
            DeliveryError: it was not taken, or whether it was is unknown.

        """
        to = outgoing.to.value
        if not is_address(to):
            text = "the citizen's address is no valid one"
            raise DeliveryError("bad_address", text, retryable=False)
        settings = self.account.settings
        contents = await read_enclosures(outgoing.enclosures, settings.max_bytes)
        mail = await asyncio.to_thread(
            render_outgoing, outgoing, settings, self.stationery, contents
        )
        return await self.account.send(
            mail, [to], delivery_id=outgoing.delivery_id, clock=self.context.clock
        )

    async def fetch(
        self, original: Original, attachment: Attachment
    ) -> AsyncIterator[bytes]:
        """Stream an attachment out of the mail in the stored envelope.

        Raises:
            AttachmentError: there is no such part.

        """
        try:
            mail = await asyncio.to_thread(enclosed_mail, original.body)
        except PayloadError as error:
            raise AttachmentError("unreadable", str(error), retryable=False) from None
        async for piece in super().fetch(replace(original, body=mail), attachment):
            yield piece

    async def check(self) -> Health:
        """Log in to both servers, read the trust list; send and change nothing."""
        health = await super().check()
        if health.status is HealthStatus.DOWN:
            return health
        try:
            await smtp.probe(self.account.settings)
        except DeliveryError as error:
            return Health(status=HealthStatus.DOWN, text=str(error))
        trusted = self._trust_health()
        return health if trusted.status is HealthStatus.OK else trusted

    def _trust_health(self) -> Health:
        try:
            certificates = trust.load(self.config.trust)
        except ValueError as error:
            return Health(status=HealthStatus.DOWN, text=f"trust list: {error}")
        old = trust.expired(certificates, self.context.clock.now())
        if len(old) == len(certificates):
            text = f"trust list: all {len(old)} certificate(s) have expired"
            return Health(status=HealthStatus.DEGRADED, text=text)
        return Health(status=HealthStatus.OK)

    def _policy(self) -> Policy:
        try:
            certificates = trust.load(self.config.trust)
        except ValueError as error:
            raise PayloadError("trust list", str(error)) from None
        return Policy(certificates=certificates, allow_sha1=self.config.allow_sha1)

    def _certified(self, data: Daticert, inbound: Inbound) -> Message:
        """Read what a person wrote; the provider says who, and when."""
        if not any(self.account.owns(each.address) for each in data.recipients):
            # A genuine envelope of somebody else's mail, handed on to us.
            raise PayloadError(
                "daticert.xml", "this mailbox is not among its recipients"
            )
        message = self._read(inbound)
        return replace(
            message,
            external_id=data.message_id or message.external_id,
            sender=pec(data.sender),
            sent_at=data.at,
            authentic=True,
            flags=(*message.flags, CERTIFIED),
        )

    def _ordinary(self, inbound: Inbound, flag: str) -> Message:
        """Read ordinary mail; nothing certifies who wrote it."""
        message = self._read(inbound)
        return replace(
            message,
            automatic=message.automatic or self.account.owns(message.sender.value),
            authentic=False,
            flags=(*message.flags, flag),
        )

    def _receipt(self, data: Daticert) -> Receipt | None:
        """Return what a provider says of a delivery of ours; None if it is of none."""
        if not self.account.owns(data.sender):
            return None
        named = self._evidence.find([data.message_id])
        if len(named) != 1:
            return None
        delivery: DeliveryId = named.pop()
        return receipts.to_receipt(data, delivery)

    def _foreign(self, inbound: Inbound) -> Message:
        """Keep a receipt on a mail that was written elsewhere, for staff to see."""
        return replace(self._read(inbound), automatic=True)

    def _read(self, inbound: Inbound) -> Message:
        evidence = self._evidence
        return parse(inbound, key=evidence.key, domain=evidence.domain)

    @property
    def _evidence(self) -> Evidence:
        settings = self.settings
        key = settings.key.get_secret_value().encode()
        return Evidence(key=key, domain=settings.domain)


def _within(inbound: Inbound, mail: bytes) -> Inbound:
    """Return the item as if the mail in the envelope had come by itself."""
    return replace(inbound, original=replace(inbound.original, body=mail))
