"""Who sent a mail; told at once for the plain ones, for intake asks of every mail."""

from __future__ import annotations

import re

from gateway.model import Address
from gateway_email import headers

SCHEME = "mailto"

_LANE = 300
"""Characters of an id that orders receipts."""

_HEAD = re.compile(rb"(?:[!-9;-~]+:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*)+(?=\r?\n)")
_FROM = b"\nfrom"
_PEC = (b"\nx-ricevuta", b"\nx-trasporto")
_ATOM = rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
_PLAIN = re.compile(
    rb"From: (?:[A-Za-z]+(?: [A-Za-z]+)* )?(?P<open><)?"
    rb"(?P<address>" + _ATOM + rb"@" + _ATOM + rb")(?(open)>)\r?\n(?![ \t])"
)
_HEAD_LIMIT = 64 * 1024
_FROM_LIMIT = 320
"""Octets of the plain field: a longer one is looked at more closely."""


def mailto(address: str) -> Address:
    """Return the address in the form by which people are recognised."""
    return Address(SCHEME, address.lower())


def sender_of(raw: bytes) -> str:
    """Return the sender's address for ordering, "" if it can't be told.

    A provider of PEC writes all envelopes and receipts itself: there the person who
    gets the reply counts, or the mail that a receipt is about. Neither is proven yet.
    """
    head = headers.read_headers(raw)
    if headers.raw_value(head, "X-Ricevuta"):
        return headers.raw_value(head, "X-Riferimento-Message-ID")[:_LANE]
    found = headers.sender(head)
    if headers.raw_value(head, "X-Trasporto") and found is not None:
        reply_to = headers.sender(head, "Reply-To")
        # Who it is written for, as in "Per conto di: a@b.it".
        name = headers.clean(found.display_name)[:_LANE]
        return str(mailto(reply_to.addr_spec)) if reply_to else name
    return "" if found is None else str(mailto(found.addr_spec))


def sender_at_once(raw: bytes) -> str:
    """Return what `sender_of` does; only what is not plain is parsed for it.

    Plain is one From with letters and one address of letters and digits, in a head
    without a broken line.
    """
    found = _HEAD.match(raw, 0, _HEAD_LIMIT)
    if found is None:
        return sender_of(raw)
    head = found[0]
    names = b"\n" + head.lower()
    if names.count(_FROM) != 1 or any(name in names for name in _PEC):
        return sender_of(raw)
    plain = _PLAIN.match(head, names.index(_FROM))
    if (
        plain is None
        or len(plain[0]) > _FROM_LIMIT
        or (plain["open"] is None and b" " in plain[0][6:].strip())
    ):
        return sender_of(raw)
    return str(mailto(plain["address"].decode("ascii")))
