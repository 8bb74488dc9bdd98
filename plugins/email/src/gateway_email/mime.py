"""The parts of a mail, within limits, each with a path by which it is found again.

A mail within a mail is a leaf: its octets are those that came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import Message
from email.parser import BytesParser

from gateway.errors import Unreadable
from gateway_email.charset import decode
from gateway_email.headers import BROKEN, HEADER_LIMIT, Careful, Mail, clean

DEPTH_LIMIT = 20
PARTS_LIMIT = 200

_BOUNDARY_LINES = 5_000
"""Lines that may be boundaries: parsing 100,000 parts takes seconds."""


_NAME_CHARACTERS = 120
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
"""A media type (RFC 6838 §4.2)."""


class _Opaque(Careful):
    """A part that the parser doesn't look into if it is a mail itself."""

    def get_content_type(self) -> str:
        """Hide the type from the parser; `Part.media_type` is the true one."""
        claimed = super().get_content_type()
        return _OPAQUE if claimed.startswith("message/") else claimed


_OPAQUE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A leaf of the MIME tree; ``path`` counts children from 1: ``2.1``."""

    path: str
    message: Mail

    @property
    def media_type(self) -> str:
        """Return the claimed type, ``text/plain`` if it is missing or broken.

        So is a multipart without parts: its text is all that there is.
        """
        claimed = Message.get_content_type(self.message)
        if claimed.startswith("multipart/") or not _TYPE.fullmatch(claimed):
            return "text/plain"
        return claimed

    @property
    def name(self) -> str:
        """Return the claimed file name, without any folder."""
        name = clean(self.message.get_filename() or "")
        name = name.replace("\\", "/").rpartition("/")[2].rstrip(". ")
        if len(name) <= _NAME_CHARACTERS:
            return name
        stem, dot, ending = name.rpartition(".")
        return f"{stem[:_NAME_CHARACTERS]}{dot}{ending[:10]}"

    @property
    def is_body(self) -> bool:
        """Tell whether it is text to be read, not a file."""
        is_text = self.media_type in ("text/plain", "text/html")
        disposition = self.message.get_content_disposition()
        return is_text and disposition != "attachment" and not self.name

    def content(self) -> bytes:
        """Return the decoded bytes; of a mail within the mail, those that came."""
        payload = self.message.get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""

    def text(self) -> str:
        """Return the decoded text, in the claimed charset or a likely one."""
        claimed = self.message.get_content_charset("utf-8")
        return decode(self.content(), claimed)


def read_mail(raw: bytes) -> Mail:
    """Parse a whole mail.

    Raises:
        Unreadable: it exceeds a limit, or is too broken for the library.

    """
    blank = min(
        (at for at in (raw.find(b"\n\n"), raw.find(b"\n\r\n")) if at >= 0),
        default=len(raw),
    )
    if blank > HEADER_LIMIT:
        raise Unreadable("headers", f"more than {HEADER_LIMIT} octets")
    if raw.count(b"\n--") > _BOUNDARY_LINES:
        raise Unreadable("body", f"more than {_BOUNDARY_LINES} boundary lines")
    try:
        return _parse(raw)
    except BROKEN as error:
        raise Unreadable("body", f"broken MIME ({type(error).__name__})") from None


def _parse(raw: bytes) -> Mail:
    """Parse by the modern rules; by the old ones, which forgive more, if that fails."""
    try:
        return BytesParser(_Opaque, policy=policy.default).parsebytes(raw)
    except RecursionError:
        raise
    except BROKEN:
        return BytesParser(_Opaque, policy=policy.compat32).parsebytes(raw)


def leaves(mail: Mail) -> Iterator[Part]:
    """Walk the leaves in order; a mail within the mail is a leaf.

    Raises:
        Unreadable: too many parts, or nested too deep.

    """
    waiting: list[tuple[str, Mail]] = [("", mail)]
    seen = 0
    while waiting:
        path, message = waiting.pop()
        seen += 1
        if seen > PARTS_LIMIT or path.count(".") >= DEPTH_LIMIT:
            raise Unreadable("body", "too many parts or nested too deep")
        if message.get_content_maintype() == "multipart" and message.is_multipart():
            inner = enumerate(_children(message), start=1)
            waiting += reversed([(f"{path}.{at}".lstrip("."), it) for at, it in inner])
        else:
            yield Part(path=path or "1", message=message)


def _children(message: Mail) -> list[Mail]:
    payload = message.get_payload()
    if not isinstance(payload, list):
        return []
    return [child for child in payload if isinstance(child, Message)]
