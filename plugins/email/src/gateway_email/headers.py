"""Header fields of foreign mail, read so that no broken field stops the rest.

The registry of `email.policy.default` may raise on broken fields; every reader here
gives up on that one field only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from email import headerregistry, policy
from email.errors import MessageError
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from itertools import islice
from typing import Any, TypeAlias

from gateway_email import charset

Mail: TypeAlias = "Message[Any, Any]"

BROKEN = (
    MessageError,
    LookupError,
    ValueError,
    AttributeError,
    TypeError,
    OverflowError,
    RecursionError,
    AssertionError,
)
"""What the standard library is known to raise on broken mail."""

HEADER_LIMIT = 64 * 1024
"""Octets of a header block that we read."""

_FIELD_LIMIT = 16 * 1024
"""Characters of one field that we read: its cost is quadratic (cpython #136063)."""

_ADDRESS_LIMIT = 1_000
"""Characters of a From field that we read."""

_REFERENCES = 50
_RECIPIENTS = 200

_MIME_FIELD_LIMIT = 4 * 1024
"""Octets of a Content-… field that we read: the library does at each look."""

_RECIPIENT_FIELDS = ("Delivered-To", "X-Original-To", "Envelope-To", "To", "Cc")
"""Where our own address may stand, most reliable first."""


class Careful(EmailMessage):
    """A mail whose broken or endless fields are as if they weren't there.

    The parser itself looks at some of them, and one mail must not stop a mailbox.
    """

    def get(self, name: str, failobj: Any = None) -> Any:
        """Return a field, ``failobj`` if it is missing, too long or unreadable."""
        if len(raw_value(self, name)) > _MIME_FIELD_LIMIT:
            return failobj
        try:
            return super().get(name, failobj)
        except BROKEN:
            return failobj

    def __contains__(self, name: object) -> bool:
        """Tell whether `get` finds the field: the library relies on both."""
        return self.get(str(name)) is not None


def read_headers(raw: bytes) -> Mail:
    """Read the header block alone, cut off at `HEADER_LIMIT`."""
    return BytesHeaderParser(Careful, policy=policy.default).parsebytes(
        raw[:HEADER_LIMIT]
    )


def raw_values(message: Mail, name: str) -> Iterator[str]:
    """Walk the values of a field as they came, folded lines joined."""
    wanted = name.lower()
    for field, value in message.raw_items():
        if field.lower() == wanted:
            yield _joined(value)


def raw_fields(message: Mail, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Walk the fields of these ``names`` (in lower case), in order, as they came."""
    for field, value in message.raw_items():
        if field.lower() in names:
            yield field.lower(), _joined(value)


def _joined(value: Any) -> str:
    return " ".join(str(value)[:_FIELD_LIMIT].split())


def raw_value(message: Mail, name: str) -> str:
    """Return a field as it came, "" if it is missing."""
    return next(raw_values(message, name), "")


def value(message: Mail, name: str) -> Any:
    """Return a field as the registry reads it, None if missing or unreadable."""
    raw = raw_value(message, name)
    if not raw or len(raw) >= _FIELD_LIMIT:
        return None
    try:
        return policy.default.header_factory(name, raw)
    except BROKEN:
        return None


def clean(text: str) -> str:
    """Return ``text`` on one line, without control characters and surrogates."""
    printable = (sign if sign.isprintable() else " " for sign in text)
    return " ".join("".join(printable).split())


def subject(message: Mail) -> str:
    """Return the decoded subject on one line, also of a program that encodes nothing.

    RFC 5322 knows no raw octets, RFC 6532 UTF-8 only; old forms send Latin-1.
    """
    raw = raw_value(message, "Subject")
    if raw.isascii():
        return clean(str(value(message, "Subject") or ""))
    return clean(charset.decode(raw.encode("utf-8", "surrogateescape"), "utf-8"))


def sender(message: Mail, field: str = "From") -> headerregistry.Address | None:
    """Return the one address in ``field``; None if there is any doubt which it is.

    ``alice@comune.it <evil@x>`` and its like are read as Alice by the library, with
    a defect (compare CVE-2023-27043): then the field must end with what was read.
    """
    raw = raw_value(message, field)
    if not raw or len(raw) > _ADDRESS_LIMIT:
        return None
    addresses: tuple[headerregistry.Address, ...]
    addresses = getattr(value(message, field), "addresses", ())
    if len(addresses) != 1 or len(list(raw_values(message, field))) != 1:
        return None
    found = addresses[0]
    spec = found.addr_spec
    plain = found.username and found.domain and spec.isascii() and spec.isprintable()
    if not plain or not _is_whole(raw, found):
        return None
    return found


def _is_whole(raw: str, found: headerregistry.Address) -> bool:
    """Tell whether the field says no more than a name and this address."""
    name, _, rest = raw.rpartition(found.addr_spec)
    is_comment = rest.startswith(" (") and rest.endswith(")") and "@" not in rest
    return (name.endswith("<") and rest == ">") or (
        not name and (not rest or is_comment)
    )


def sent_at(message: Mail, otherwise: datetime) -> datetime:
    """Return Date in UTC, ``otherwise`` if it is missing or impossible."""
    moment: datetime | None = getattr(value(message, "Date"), "datetime", None)
    if moment is None:
        return otherwise
    if moment.tzinfo is None:
        # "-0000": UTC, with the zone unknown (RFC 5322 §3.3).
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return otherwise


def message_ids(text: str) -> list[str]:
    """Return the ids ``<…>`` in ``text``; tolerates anything around them."""
    pieces = (piece.partition(">") for piece in text.split("<")[1:])
    return [
        f"<{identity}>"
        for identity, end, _ in pieces
        if end and identity and identity.isprintable() and " " not in identity
    ]


def message_id(message: Mail) -> str:
    """Return Message-ID, "" if there is none."""
    return next(iter(message_ids(raw_value(message, "Message-ID"))), "")


def references(message: Mail) -> list[str]:
    """Return the ids of earlier mails, nearest first (RFC 5322 §3.6.4)."""
    nearest = message_ids(raw_value(message, "In-Reply-To"))
    chain = message_ids(raw_value(message, "References"))
    return list(dict.fromkeys([*nearest, *reversed(chain)]))[:_REFERENCES]


def recipients(message: Mail) -> Iterator[str]:
    """Walk the first 200 addresses this mail came to, in lower case."""
    words = (
        word.strip("<>;\"'")
        for name in _RECIPIENT_FIELDS
        for raw in raw_values(message, name)
        for word in raw.lower().replace(",", " ").split()
    )
    yield from islice((word for word in words if "@" in word), _RECIPIENTS)
