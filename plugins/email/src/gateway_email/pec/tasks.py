"""What child processes do for PEC, as in `gateway_email.tasks`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.model import Inbound, Message, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Whose mail it is, in lower case, and whom to trust.

    ``key`` and ``domain`` prove which delivery a receipt is about; ``language`` is that
    of what we add to a text.
    """

    addresses: tuple[str, ...]
    key: bytes
    domain: str
    trust: Path
    allow_sha1: bool = False
    language: str = "it"

    def owns(self, address: str) -> bool:
        """Tell whether an address is this mailbox's."""
        return address.lower() in self.addresses


def read_stored(
    inbound: Inbound, mailbox: Mailbox, *, unpacks: bool = False
) -> Message | Receipt:
    """Do as `gateway_email.pec.stored.read_stored`.

    Raises:
        PayloadError: it is not believed, or can't be read.

    """
    from gateway_email.pec import stored  # noqa: PLC0415 (only children read)

    return stored.read_stored(inbound, mailbox, unpacks=unpacks)


def part_content(raw: bytes, locator: str) -> bytes:
    """Do as `gateway_email.pec.stored.part_content`.

    Raises:
        AttachmentError: there is no such part.

    """
    from gateway_email.pec import stored  # noqa: PLC0415 (only children read)

    return stored.part_content(raw, locator)
