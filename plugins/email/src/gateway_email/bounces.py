"""Delivery reports → receipts; pure.

By RFC 3464 and 6533, or in the words of servers that know neither. A report counts
only if it names one delivery of ours by what only its recipients have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.errors import PayloadError
from gateway.model import DeliveryId, Inbound, Receipt, ReceiptStatus
from gateway_email import headers, spoken_bounces
from gateway_email.automatic import has_null_path, is_machine
from gateway_email.evidence import Evidence
from gateway_email.headers import Mail, clean, raw_value
from gateway_email.mime import Part, leaves, read_mail
from gateway_email.spoken_bounces import Verdict
from gateway_email.status_codes import enhanced_code, without_addresses
from gateway_email.status_fields import Fields, read_blocks

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_TYPES = (
    "message/rfc822",
    "message/global",
    "message/global-headers",
    "text/rfc822-headers",
)
_BY_CLASS = {"2": "delivered", "4": "delayed", "5": "failed"}
_RANKS = ("failed", "delayed", "relayed", "expanded", "delivered")
"""Of several recipients, the worst lot is the delivery's."""

_TEXT_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mailed:
    """A report taken apart: what the server says, and what came back."""

    words: str
    blocks: tuple[Fields, ...]
    returned: tuple[Mail, ...]
    copies: str


def read_receipt(inbound: Inbound, *, key: bytes, domain: str) -> Receipt | None:
    """Read a stored mail as a report on one of our deliveries.

    None if it is something else, or nothing proves which delivery it is about.
    """
    try:
        return _read(inbound, Evidence(key=key, domain=domain))
    except (PayloadError, *headers.BROKEN):
        return None


def _read(inbound: Inbound, evidence: Evidence) -> Receipt | None:
    raw = inbound.original.body
    if not _may_be_report(headers.read_headers(raw)):
        return None
    mail = read_mail(raw)
    mailed = _take_apart(mail)
    verdict = _verdict(mail, mailed)
    delivery = _delivery(mail, mailed, evidence)
    if verdict is None or delivery is None:
        return None
    return Receipt(
        status=verdict.status,
        at=headers.sent_at(mail, inbound.original.received_at),
        delivery_id=delivery,
        code=verdict.code,
        text=verdict.text,
    )


def _may_be_report(head: Mail) -> bool:
    """Tell reports from people's mail, and from what else machines send."""
    if head.get_content_type() == "multipart/report":
        kind = head.get_param("report-type") or "delivery-status"
        return str(kind).lower() in ("delivery-status", "global-delivery-status")
    if raw_value(head, "X-Failed-Recipients"):
        return True
    found = headers.sender(head)
    if found is None:
        return has_null_path(head) or "mailer-daemon" in raw_value(head, "From").lower()
    return is_machine(found.username) or found.username.lower() == "postoffice"


def _take_apart(mail: Mail) -> _Mailed:
    words: list[str] = []
    blocks: list[Fields] = []
    returned: list[Mail] = []
    copies: list[str] = []
    for part in leaves(mail):
        if part.media_type in _STATUS_TYPES:
            blocks += read_blocks(part)
        elif part.media_type in _RETURNED_TYPES:
            returned.append(headers.read_headers(part.content().lstrip()))
            copies.append(part.text())
        elif part.media_type.startswith(("text/", "multipart/")):
            said, copy = spoken_bounces.split(_readable(part))
            words.append(said)
            copies.append(copy)
    return _Mailed(
        words="\n".join(words),
        blocks=tuple(blocks),
        returned=tuple(returned),
        copies="\n".join(copies),
    )


def _readable(part: Part) -> str:
    return spoken_bounces.plain(part.text(), is_html=part.media_type == "text/html")


def _verdict(mail: Mail, mailed: _Mailed) -> Verdict | None:
    """Return what a report says: in its fields, else in its words."""
    found = [each for block in mailed.blocks for each in _of_recipient(block)]
    if not found:
        return spoken_bounces.read(headers.subject(mail), mailed.words)
    action, status, text = min(found, key=lambda each: _RANKS.index(each[0]))
    codes = [code for code in map(enhanced_code, (status, text)) if code]
    code = next(
        (each for each in codes if not each.endswith(".0.0")), "".join(codes[:1])
    )
    if action == "failed":
        # Some servers report a failure of theirs with a temporary code, or none.
        return Verdict(
            status=ReceiptStatus.FAILED, code=code or "5.0.0", text=_short(text)
        )
    status_ = ReceiptStatus.DELIVERED if action == "delivered" else ReceiptStatus.SENT
    return Verdict(status=status_, code=code, text=_short(f"{action} {text}"))


def _of_recipient(block: Fields) -> Iterator[tuple[str, str, str]]:
    """Return action, status and text of a block that is about a recipient."""
    status = block.get("status", "")
    action = block.get("action", "").partition("(")[0].strip().lower()
    if action not in _RANKS:
        action = _BY_CLASS.get(status.strip()[:1], "")
    if action:
        text = block.get("diagnostic-code", "") or status
        yield action, status, text


def _delivery(mail: Mail, mailed: _Mailed, evidence: Evidence) -> DeliveryId | None:
    """Return the one delivery that the strongest proof names."""
    envelopes = [block.get("original-envelope-id", "") for block in mailed.blocks]
    returned = [
        raw_value(each, name)
        for each in mailed.returned
        for name in ("Message-ID", "Reply-To")
    ]
    own = [raw_value(mail, name) for name in ("In-Reply-To", "References")]
    for texts in (envelopes, returned, [mailed.copies, mailed.words], own):
        named = evidence.find(texts)
        if named:
            return named.pop() if len(named) == 1 else None
    return None


def _short(text: str) -> str:
    return without_addresses(clean(text))[:_TEXT_LIMIT]
