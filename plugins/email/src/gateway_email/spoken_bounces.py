"""Bounces in words: qmail, Exim, old Exchange, and others that know no RFC 3464.

What can't be told for certain is no verdict: the mail is then held for staff.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.model import ReceiptStatus
from gateway_email.headers import clean
from gateway_email.markup import html_to_text
from gateway_email.status_codes import enhanced_code, without_addresses

_WORDS_LIMIT = 20_000
_TEXT_LIMIT = 400

_COPY = re.compile(
    r"^.{0,20}(below this line is a copy of the message"
    r"|this is a copy of (the|your) message"
    r"|original message( headers)?\b"
    r"|unsent message below|undelivered message follows"
    r"|the header of the original message|returned message"
    r"|messaggio originale|intestazioni? originali).{0,60}$",
    re.IGNORECASE | re.MULTILINE,
)
"""Where the words of the server end and those of our mail begin."""

_DELAYED = (
    "still being retried",
    "will be retried",
    "will retry",
    "will continue",
    "will keep trying",
    "delivery incomplete",
    "no action is required on your part",
    "need to resend",
    "warning message only",
    "delivery is delayed",
    "has been delayed",
    "delivery delayed",
    "delivery status notification (delay)",
    "message delayed",
    "non è ancora stato consegnato",
    "non e' ancora stato consegnato",
    "consegna ritardata",
    "consegna in ritardo",
    "verranno effettuati altri tentativi",
)
_FAILED = (
    "could not be delivered",
    "couldn't be delivered",
    "cannot be delivered",
    "can't be delivered",
    "did not reach",
    "didn't reach",
    "failed permanently",
    "failure notice",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery to the following recipient failed",
    "delivery to the following recipients failed",
    "delivery to these recipients",
    "had permanent fatal errors",
    "i wasn't able to deliver",
    "non è stato consegnato",
    "non è stato possibile consegnare",
    "non e' stato possibile consegnare",
    "impossibile recapitare",
    "impossibile consegnare",
    "mancata consegna",
    "permanent error",
    "returned mail",
    "undeliverable",
    "undelivered mail",
    "unable to deliver",
    "was not delivered",
    "wasn't delivered",
)
_REPLY = re.compile(r"(?<![\d.@-])(?:#[45]\.\d|5\d\d[ -])[^\n]{0,300}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a server says of a delivery."""

    status: ReceiptStatus
    code: str
    text: str


def split(text: str) -> tuple[str, str]:
    """Return the server's words, and the copy of our mail below them."""
    match = _COPY.search(text)
    if match is None:
        return text, ""
    return text[: match.start()], text[match.start() :]


def plain(text: str, *, is_html: bool) -> str:
    """Return what a reader sees."""
    return html_to_text(text) if is_html else text


def read(subject: str, words: str) -> Verdict | None:
    """Return what a server says in words, None if that isn't certain."""
    words = words[:_WORDS_LIMIT]
    said = " ".join(f"{subject}\n{words}".lower().replace("\u2019", "'").split())
    reply = _REPLY.search(words)
    text = without_addresses(clean(reply[0] if reply else subject))[:_TEXT_LIMIT]
    code = enhanced_code(words) or ""
    if any(phrase in said for phrase in _DELAYED):
        return Verdict(status=ReceiptStatus.SENT, code=code, text=f"delayed {text}")
    if any(phrase in said for phrase in _FAILED):
        return Verdict(status=ReceiptStatus.FAILED, code=code or "5.0.0", text=text)
    return None
