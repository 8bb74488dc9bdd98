"""All that is done to a stored mail in a child process; pure, and picklable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.model import Inbound, Message, Receipt
from gateway_email.automatic import is_own
from gateway_email.bounces import read_receipt
from gateway_email.headers import read_headers
from gateway_email.parse import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What tells our own mail: the key of reply tokens, domain and addresses.

    ``authserv_id`` is the server that proves senders, if there is one.
    """

    key: bytes
    domain: str
    addresses: Sequence[str]
    authserv_id: str | None = None


def read_stored(inbound: Inbound, ours: Ours) -> Message | Receipt:
    """Read a stored mail: a report on a delivery of ours, or a message.

    Raises:
        PayloadError: it can't be read; it is kept and shown to staff.

    """
    receipt = read_receipt(inbound, key=ours.key, domain=ours.domain)
    if receipt is not None:
        return receipt
    message = parse(
        inbound, key=ours.key, domain=ours.domain, authserv_id=ours.authserv_id
    )
    if is_own(read_headers(inbound.original.body), ours.addresses):
        return replace(message, automatic=True)
    return message
