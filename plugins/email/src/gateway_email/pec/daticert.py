"""``daticert.xml``: what a provider certifies (RFC 6109 §4.4; DM 2 Nov 2005, annex).

The document type that some providers name is tolerated and never loaded; entities are
refused.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree.ElementTree import ParseError

from gateway.errors import PayloadError
from gateway_email.headers import clean, message_ids

LIMIT = 1024 * 1024
DEPTH_LIMIT = 16
"""The schema has four levels."""

RECIPIENTS_LIMIT = 1_000
_PATH = "daticert.xml"
_ZONE = re.compile(r"([+-])(\d{2}):?(\d{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Somebody a mail is for; ``certified``: in a PEC mailbox, so receipts follow."""

    address: str
    certified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Daticert:
    """A provider's word: ``kind`` is what it is about, ``error`` how it ended.

    ``identifier`` is the provider's id of the mail (its new Message-ID), ``message_id``
    the sender's own. ``recipient`` is the one that a receipt is about.
    """

    kind: str
    error: str
    sender: str
    recipients: tuple[Recipient, ...]
    subject: str
    provider: str
    at: datetime
    identifier: str
    message_id: str
    receipt: str
    recipient: str
    explanation: str


def read(octets: bytes) -> Daticert:
    """Read ``daticert.xml``.

    Raises:
        PayloadError: it is too large, no XML, has entities, or lacks what the schema
            demands; the text names the element.

    """
    if len(octets) > LIMIT:
        raise PayloadError(_PATH, f"more than {LIMIT} octets")
    try:
        root = _tree(octets)
    except (ParseError, ValueError, LookupError) as error:
        raise PayloadError(_PATH, f"broken ({type(error).__name__})") from None
    if root.tag != "postacert":
        raise PayloadError(_PATH, "expected the element postacert")
    return Daticert(
        kind=_attribute(root, "tipo"),
        error=root.get("errore", "nessuno").strip(),
        sender=_address(_required(root, "intestazione/mittente")),
        recipients=tuple(_recipients(root)),
        subject=_text(root, "intestazione/oggetto"),
        provider=_text(root, "dati/gestore-emittente"),
        at=_moment(root),
        identifier=_identity(_required(root, "dati/identificativo")),
        message_id=_identity(_text(root, "dati/msgid")),
        receipt=_kind_of_receipt(root),
        recipient=_address(_text(root, "dati/consegna")),
        explanation=_text(root, "dati/errore-esteso"),
    )


def _tree(octets: bytes) -> Any:
    """Parse, and give up on deep nesting before the tree is built."""
    from defusedxml.ElementTree import iterparse  # noqa: PLC0415 (as of pyHanko)

    depth, root = 0, None
    events = iterparse(
        io.BytesIO(octets),
        events=("start", "end"),
        forbid_dtd=False,
        forbid_entities=True,
        forbid_external=True,
    )
    for event, element in events:
        depth += 1 if event == "start" else -1
        root = element if root is None else root
        if depth > DEPTH_LIMIT:
            raise ValueError
    return root


def _text(root: Any, path: str) -> str:
    return clean(root.findtext(path) or "")


def _required(root: Any, path: str) -> str:
    text = _text(root, path)
    if not text:
        raise PayloadError(f"{_PATH}: {path}", "missing")
    return text


def _attribute(root: Any, name: str) -> str:
    found = str(root.get(name, "")).strip()
    if not found:
        raise PayloadError(f"{_PATH}: {name}", "missing")
    return found


def _recipients(root: Any) -> Iterator[Recipient]:
    elements = root.findall("intestazione/destinatari")
    if len(elements) > RECIPIENTS_LIMIT:
        text = f"more than {RECIPIENTS_LIMIT}"
        raise PayloadError(f"{_PATH}: intestazione/destinatari", text)
    for element in elements:
        certified = element.get("tipo", "").strip() == "certificato"
        address = _address(clean(element.text or ""))
        if address:
            yield Recipient(address=address, certified=certified)


def _kind_of_receipt(root: Any) -> str:
    element = root.find("dati/ricevuta")
    return "" if element is None else str(element.get("tipo", "")).strip()


def _address(text: str) -> str:
    return text.strip("<> ").lower()


def _identity(text: str) -> str:
    """Return an id as a Message-ID is written; providers leave the brackets out."""
    if not text:
        return ""
    found = message_ids(text if text.startswith("<") else f"<{text}>")
    if not found:
        raise PayloadError(f"{_PATH}: dati", "an id is none")
    return found[0]


def _moment(root: Any) -> datetime:
    element = root.find("dati/data")
    zone = _ZONE.fullmatch("" if element is None else element.get("zona", "").strip())
    day, clock = _text(root, "dati/data/giorno"), _text(root, "dati/data/ora")
    try:
        local = datetime.strptime(f"{day} {clock}", "%d/%m/%Y %H:%M:%S")  # noqa: DTZ007 (the zone is an attribute)
    except ValueError:
        raise PayloadError(f"{_PATH}: dati/data", "no date and time") from None
    if zone is None:
        raise PayloadError(f"{_PATH}: dati/data", "no time zone")
    offset = timedelta(hours=int(zone[2]), minutes=int(zone[3]))
    try:
        there = timezone(-offset if zone[1] == "-" else offset)
        return local.replace(tzinfo=there).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PayloadError(f"{_PATH}: dati/data", "no time zone") from None
