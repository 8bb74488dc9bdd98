"""Meta's list of blocked users, which follows the gateway's own.

Source: Meta, *Block users*. It takes only those who wrote in the last 24 hours, and
some accounts have no such list: both are noted and no more, for the gateway refuses
blocked people's messages anyway.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from gateway.errors import DeliveryError, PayloadError
from gateway.model import Address
from gateway.payload import Payload
from gateway_whatsapp.account import Account
from gateway_whatsapp.client import CloudApi
from gateway_whatsapp.errors import Refusal, delivery_error, name_of
from gateway_whatsapp.people import SCHEME, is_bsuid

OFF: Final = "mirror_blocks_off"
"""Why nothing was told to Meta, if the configuration does not want it."""

_UNKNOWN_REQUEST = 100
_NOT_TAKEN = {131021, 131047}
"""Codes of one user: our own number, or nobody who wrote in the last 24 hours."""
_NO_LIST = {3, 10, 131005, *range(200, 300)}
"""Codes of an account or a token that may not do this."""


async def set_blocked(
    api: CloudApi, account: Account, address: Address, *, blocked: bool
) -> str | None:
    """Put somebody on Meta's list, or take them off; return the code if Meta won't.

    Raises:
        DeliveryError: not done, now or ever; whoever asks again does no harm.

    """
    if address.scheme != SCHEME:
        text = f"not a WhatsApp address: {address.scheme}"
        raise DeliveryError("bad_address", text, retryable=False)
    method = "POST" if blocked else "DELETE"
    refusal = _of_user(*await api.call(method, "block_users", render(address)))
    if refusal is None:
        return None
    if _is_final(refusal, blocked=blocked):
        return name_of(refusal)
    account.refused(refusal)
    raise delivery_error(refusal, 1, sending=False)


def render(address: Address) -> dict[str, Any]:
    """Return the body that names one user."""
    key = "user_id" if is_bsuid(address.value) else "user"
    return {"messaging_product": "whatsapp", "block_users": [{key: address.value}]}


def _is_final(refusal: Refusal, *, blocked: bool) -> bool:
    """Tell whether to leave it at that: who can't be listed need not be taken off."""
    unsupported = blocked and refusal.code == _UNKNOWN_REQUEST
    return unsupported or refusal.code in _NOT_TAKEN | _NO_LIST


def _of_user(refusal: Refusal | None, raw: bytes) -> Refusal | None:
    """Return what is said of our user in particular, if that is said."""
    try:
        told = Payload.from_json(raw)
        failed = told.get("block_users").items_or_none("failed_users")
        codes = [e.integer("code") for f in failed for e in f.items_or_none("errors")]
    except PayloadError:
        codes = []
    if not codes:
        return refusal
    return Refusal(status=HTTPStatus.BAD_REQUEST, code=codes[0])
