"""What child processes do, by name: only they load the libraries that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model import Inbound, Message, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What tells our own mail: the key of reply tokens, domain and addresses.

    ``authserv_id`` is the server that proves senders, if there is one; ``language``
    that of what we add to a text.
    """

    key: bytes
    domain: str
    addresses: Sequence[str]
    authserv_id: str | None = None
    language: str = "it"


def read_stored(
    inbound: Inbound, ours: Ours, *, unpacks: bool = False
) -> Message | Receipt:
    """Do as `gateway_email.reading.read_stored`.

    Raises:
        PayloadError: it can't be read; it is kept and shown to staff.

    """
    from gateway_email import reading  # noqa: PLC0415 (see above)

    return reading.read_stored(inbound, ours, unpacks=unpacks)


def part_content(raw: bytes, locator: str) -> bytes:
    """Do as `gateway_email.enclosed.part_content`.

    Raises:
        AttachmentError: there is no such file.

    """
    from gateway_email import enclosed  # noqa: PLC0415 (see above)

    return enclosed.part_content(raw, locator)
