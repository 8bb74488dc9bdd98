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

_NEVER_LISTED = {3, 131021, 131047}
"""Codes of an app without the list, of our own number, and of somebody who has not
written in the last 24 hours."""
_NOT_ALLOWED = {10, 131005, *range(200, 300)}
"""Codes of a token that may not do this; perhaps it once could."""
_NO_SUCH_REQUEST = 100


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
    refusal, raw = await api.call(method, "block_users", render(address))
    code = _code_of_user(raw)
    if code is not None:
        refusal = Refusal(status=HTTPStatus.BAD_REQUEST, code=code)
    if refusal is None:
        return None
    error = delivery_error(refusal, 1, sending=False)
    hopeless = blocked and code is not None and not error.retryable
    if hopeless or _is_final(refusal, blocked=blocked):
        return name_of(refusal)
    if refusal.code not in _NOT_ALLOWED:
        account.refused(refusal)
    raise error


def render(address: Address) -> dict[str, Any]:
    """Return the body that names one user."""
    key = "user_id" if is_bsuid(address.value) else "user"
    return {"messaging_product": "whatsapp", "block_users": [{key: address.value}]}


def _is_final(refusal: Refusal, *, blocked: bool) -> bool:
    """Tell whether to leave it at that.

    Not where somebody whom the city wants to hear may stay on Meta's list.
    """
    if not blocked:
        return refusal.code in _NEVER_LISTED
    return refusal.code in {*_NEVER_LISTED, *_NOT_ALLOWED, _NO_SUCH_REQUEST}


def _code_of_user(raw: bytes) -> int | None:
    """Return the code of what failed with our user in particular, if that is told."""
    try:
        told = Payload.from_json(raw).get("block_users").items_or_none("failed_users")
        errors = [error for user in told for error in user.items_or_none("errors")]
        return errors[0].integer("code") if errors else None
    except PayloadError:
        return None
