"""The channel: a mailbox of registered mail."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.errors import DeliveryError
from gateway.model import (
    ChannelId,
    Health,
    HealthStatus,
    Inbound,
    Message,
    Outgoing,
    Receipt,
)
from gateway.plugin import Context
from gateway_email.channel import EmailChannel
from gateway_email.checking import check_mailbox, check_submission, worst
from gateway_email.config import is_address
from gateway_email.delivery import read_enclosures
from gateway_email.isolation import Child
from gateway_email.oauth2 import Wallet
from gateway_email.pec import receipts, trust
from gateway_email.pec.account import Account
from gateway_email.pec.config import PecChannelConfig
from gateway_email.pec.tasks import Mailbox, part_content, read_stored
from gateway_email.render import render_outgoing


class PecChannel(EmailChannel):
    """Reads envelopes and receipts of a PEC mailbox, answers from it.

    What claims to come from a provider and does not verify is not read: it is kept,
    and staff see why (dead letter ``unreadable``).
    """

    grace_seconds = receipts.ACCEPTANCE.total_seconds()
    """A receipt of acceptance tells whether an interrupted send has succeeded."""

    part_content = staticmethod(part_content)
    config: PecChannelConfig

    def __init__(
        self,
        channel_id: ChannelId,
        config: PecChannelConfig,
        context: Context[Any],
        child: Child | None = None,
        wallet: Wallet | None = None,
    ) -> None:
        """Keep what is needed; nothing is opened."""
        super().__init__(channel_id, config, context, child=child, wallet=wallet)
        self.account = Account.of(config, context.config)

    def parse(self, inbound: Inbound) -> Message | Receipt:
        """Read a stored mail here and now; the gateway calls `read`.

        Raises:
            PayloadError: it is not believed, or can't be read; it is kept and shown.

        """
        return read_stored(inbound, self._mailbox, unpacks=True)

    async def read(self, inbound: Inbound) -> Message | Receipt:
        """Verify and read a stored mail in a child process.

        Raises:
            PayloadError: it is not believed, or can't be read; it is kept and shown.
            Overloaded: it had no turn; it is read later.

        """
        return await self._read_by(read_stored, inbound, self._mailbox)

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

    async def check(self) -> Health:
        """Log in to both servers, read the trust list; send and change nothing."""
        found = await asyncio.gather(
            check_mailbox(self.config, None),
            check_submission(self.account.settings, None),
        )
        return worst([*found, self._trust_health()])

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

    @property
    def _mailbox(self) -> Mailbox:
        settings, config = self.settings, self.config
        return Mailbox(
            addresses=self.account.addresses,
            key=settings.key.get_secret_value().encode(),
            domain=settings.domain,
            trust=config.trust,
            allow_sha1=config.allow_sha1,
            language=self.context.language,
        )
