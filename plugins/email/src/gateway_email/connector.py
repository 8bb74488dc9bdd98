"""The connector: a service that is reached by e-mail."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import cached_property

from gateway.connector import Connector
from gateway.model import (
    Address,
    Handover,
    Health,
    HealthStatus,
    Receipt,
    Semantics,
    ServiceId,
)
from gateway.plugin import Context
from gateway_email.checking import check_reply_to, check_submission, worst
from gateway_email.config import EmailConnectorConfig, EmailSettings
from gateway_email.delivery import read_enclosures, send
from gateway_email.oauth2 import Tokens, Wallet
from gateway_email.render import render_handover
from gateway_email.senders import mailto
from gateway_email.stationery import Stationery


class EmailConnector(Connector[EmailConnectorConfig]):
    """Mails messages to an office, which answers by replying.

    SMTP knows no idempotency key: a repetition bears the same Message-ID and Date.
    """

    semantics = Semantics.BLIND
    grace_seconds = 0.0
    """Nobody will tell later whether a mail was taken: there is nothing to wait for."""
    accounts: Collection[str] | None = None
    """The mailboxes that are read by channels of the plugin; None: not known."""

    def __init__(
        self,
        service: ServiceId,
        config: EmailConnectorConfig,
        context: Context[EmailSettings],
        wallet: Wallet | None = None,
    ) -> None:
        """Keep what is needed; ``wallet`` is shared by all of a gateway."""
        super().__init__(service, config, context)
        self._wallet = wallet or Wallet()

    @property
    def settings(self) -> EmailSettings:
        """Return the plugin's own section: account and addresses of the city."""
        settings: EmailSettings = self.context.config
        return settings

    @cached_property
    def sender_tokens(self) -> Tokens | None:
        """Return where tokens of the sending account come from, if it needs any."""
        return self._wallet.tokens(self.settings.oauth2, self.context)

    @cached_property
    def stationery(self) -> Stationery:
        """Return the templates, read once."""
        context = self.context
        return Stationery(self.settings.templates, context.language, context.log)

    async def deliver(self, handover: Handover) -> Receipt:
        """Mail a message to the office; the receipt's id is the Message-ID.

        Raises:
            DeliveryError: no recipient took it, or whether one did is unknown.

        """
        contents = await read_enclosures(handover.enclosures, self.settings.max_bytes)
        # In a thread: encoding 18 MB takes a tenth of a second.
        mail = await asyncio.to_thread(
            render_handover,
            handover,
            self.config.to,
            self.settings,
            self.stationery,
            contents,
        )
        return await send(
            mail,
            self.config.to,
            delivery_id=handover.delivery_id,
            attempt=handover.attempt,
            settings=self.settings,
            context=self.context,
            tokens=self.sender_tokens,
        )

    def may_answer(self, sender: Address) -> bool:
        """Tell whether ``sender`` is among ``senders`` (``to`` if not configured)."""
        allowed = self.config.to if self.config.senders is None else self.config.senders
        return sender in [mailto(address) for address in allowed]

    async def check(self) -> Health:
        """Log in, look at addresses and sizes; send nothing."""
        found = [await check_submission(self.settings, self.sender_tokens)]
        if self.settings.reply_to.casefold() in map(str.casefold, self.config.to):
            text = (
                f"{self.settings.reply_to} is the gateway's own mailbox (reply_to): it"
                " would take the office's mail away, give the office another address"
            )
            found.append(Health(status=HealthStatus.DEGRADED, text=text))
        if self.accounts is not None and not self.accounts:
            found.append(check_reply_to(self.settings, self.accounts))
        return worst(found)
