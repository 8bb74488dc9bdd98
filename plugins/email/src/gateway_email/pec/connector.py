"""The connector: an office, or another body, that is reached by PEC."""

from __future__ import annotations

import asyncio
from functools import cached_property

from gateway.connector import Connector
from gateway.errors import DeliveryError
from gateway.model import (
    Address,
    Handover,
    Health,
    HealthStatus,
    Receipt,
    ServiceId,
)
from gateway.plugin import Context
from gateway_email import smtp
from gateway_email.config import EmailSettings
from gateway_email.delivery import read_enclosures
from gateway_email.pec import receipts
from gateway_email.pec.account import Account, pec
from gateway_email.pec.config import PecConnectorConfig
from gateway_email.render import render_handover
from gateway_email.stationery import Stationery


class PecConnector(Connector[PecConnectorConfig]):
    """Writes to an office from a PEC mailbox; receipts tell that it has it.

    With several addresses each gets the same mail, and each provider its word: it is
    delivered once all have it.
    """

    grace_seconds = receipts.ACCEPTANCE.total_seconds()

    def __init__(
        self,
        service: ServiceId,
        config: PecConnectorConfig,
        context: Context[EmailSettings],
        account: Account,
    ) -> None:
        """Write from ``account``."""
        super().__init__(service, config, context)
        self.account = account

    @cached_property
    def stationery(self) -> Stationery:
        """Return the templates, read once."""
        context = self.context
        return Stationery(context.config.templates, context.language, context.log)

    async def deliver(self, handover: Handover) -> Receipt:
        """Write to the office; the receipt's id is the Message-ID.

        Raises:
            DeliveryError: no recipient was taken, or whether one was is unknown.

        """
        to, settings = self.config.to, self.account.settings
        # The provider's limit is on size times recipients.
        room = settings.max_bytes // len(to)
        contents = await read_enclosures(handover.enclosures, room)
        mail = await asyncio.to_thread(
            render_handover, handover, to, settings, self.stationery, contents
        )
        return await self.account.send(
            mail, to, delivery_id=handover.delivery_id, clock=self.context.clock
        )

    def may_answer(self, sender: Address) -> bool:
        """Tell whether a certified ``sender`` is among ``senders`` (else ``to``)."""
        allowed = self.config.to if self.config.senders is None else self.config.senders
        return sender in [pec(address) for address in allowed]

    async def check(self) -> Health:
        """Connect and log in; send nothing."""
        try:
            await smtp.probe(self.account.settings)
        except DeliveryError as error:
            return Health(status=HealthStatus.DOWN, text=str(error))
        return Health(status=HealthStatus.OK)
