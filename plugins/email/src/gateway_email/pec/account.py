"""What channel and connector share: writing from a PEC mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from uuid import UUID

from gateway.clock import Clock
from gateway.errors import DeliveryError
from gateway.model import Address, DeliveryId, Receipt, ReceiptStatus
from gateway_email import reply_token, smtp
from gateway_email.config import EmailSettings
from gateway_email.pec import receipts
from gateway_email.pec.config import PecChannelConfig
from gateway_email.render import message_id
from gateway_email.smtp import Refusal

SCHEME = "pec"
"""Of addresses that a provider certifies; anybody can write ``mailto:`` into From."""


def pec(address: str) -> Address:
    """Return an address in the form by which people are recognised."""
    return Address(SCHEME, address.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A PEC mailbox as one writes from it; ``settings`` as for ordinary mail."""

    config: PecChannelConfig
    settings: EmailSettings

    @classmethod
    def of(cls, config: PecChannelConfig, plugin: EmailSettings) -> Account:
        """Return the account of a mailbox; ids and tokens are the plugin's."""
        settings = plugin.model_copy(
            update={
                **config.smtp.model_dump(),
                "username": config.username,
                "password": config.password,
                "oauth2": None,
                "cafile": config.cafile,
                "timeout": config.timeout,
                "sender": config.address,
                "sender_name": config.sender_name or plugin.sender_name,
                "reply_to": config.address,
                "max_bytes": config.attachment_bytes,
            }
        )
        return cls(config=config, settings=settings)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the mailbox's addresses in lower case."""
        ours = (self.config.address, *self.config.aliases)
        return tuple(each.lower() for each in ours)

    async def send(
        self,
        mail: EmailMessage,
        recipients: Sequence[str],
        *,
        delivery_id: DeliveryId,
        clock: Clock,
    ) -> Receipt:
        """Hand a mail to the provider for all recipients, or none; receipts follow.

        Raises:
            DeliveryError: it was not taken, or whether it was is unknown.

        """
        # A provider lets nothing but the account itself stand in From, and many
        # refuse plus-addresses: answers are told by the id that the provider gives.
        del mail["Reply-To"]
        mail["X-TipoRicevuta"] = self.config.receipt
        settings = self.settings
        key = settings.key.get_secret_value().encode()
        token = reply_token.encode(UUID(delivery_id), key)
        refusals = await smtp.submit(
            settings, mail, recipients, envelope_id=token, together=True
        )
        if refusals:
            raise _refused(refusals)
        return Receipt(
            status=ReceiptStatus.SENT,
            at=clock.now(),
            external_id=message_id(delivery_id, settings.domain),
            delivery_id=delivery_id,
            expects=receipts.on_sending(len(recipients)),
        )


def _refused(refusals: Sequence[Refusal]) -> DeliveryError:
    """Judge refusals: one that is permanent makes another attempt useless."""
    codes = ", ".join(str(refusal.code) for refusal in refusals)
    return DeliveryError(
        "smtp_recipients_refused",
        f"the provider refuses {len(refusals)} recipient(s): {codes}; nobody has it",
        retryable=not any(refusal.is_permanent for refusal in refusals),
    )
