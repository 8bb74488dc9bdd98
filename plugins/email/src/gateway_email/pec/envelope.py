"""``multipart/signed`` taken apart byte by byte (RFC 1847 §2.1, RFC 2046 §5.1).

The standard library's parser does not keep the octets that were signed, hence the
splitting. What stands outside of the signed part is never read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import MessageError

from gateway.errors import PayloadError
from gateway_email.headers import BROKEN, HEADER_LIMIT, Mail, read_headers

PARTS_LIMIT = 50
"""Parts of an envelope: text, daticert.xml, postacert.eml, in fact."""

SIGNATURE_LIMIT = 256 * 1024
"""Octets of smime.p7s; a signature with its chain has some 5 KB."""

_SIGNATURE_TYPES = frozenset(
    {"application/pkcs7-signature", "application/x-pkcs7-signature"}
)
_BLANK = re.compile(rb"\r?\n\r?\n|\A\r?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a multipart: its fields, and its body as it came."""

    head: Mail
    body: bytes

    @property
    def media_type(self) -> str:
        """Return the claimed type."""
        return self.head.get_content_type()

    @property
    def name(self) -> str:
        """Return the claimed file name in lower case, "" if there is none."""
        return (self.head.get_filename() or "").lower()

    def content(self) -> bytes:
        """Return the body without its transfer encoding."""
        encoding = str(self.head.get("Content-Transfer-Encoding", "")).strip().lower()
        if encoding in ("base64", "quoted-printable"):
            self.head.set_payload(self.body.decode("ascii", "replace"))
            decoded = self.head.get_payload(decode=True)
            return decoded if isinstance(decoded, bytes) else b""
        return self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed mail: the exact octets under the signature, and the signature (DER)."""

    octets: bytes
    signature: bytes

    def sections(self) -> list[Section]:
        """Return the parts of the signed multipart.

        Raises:
            PayloadError: it is no multipart, or broken.

        """
        return _sections(read_section(self.octets), "signed part")


def read_signed(raw: bytes) -> Signed:
    """Take a mail of type ``multipart/signed`` apart.

    Raises:
        PayloadError: it is of another type, or not two parts with a PKCS #7 signature.

    """
    outer = read_section(raw)
    if outer.media_type != "multipart/signed":
        raise PayloadError("Content-Type", "not signed: expected multipart/signed")
    parts = _split(outer, "body")
    if len(parts) != 2:  # noqa: PLR2004 (content and signature, RFC 1847 §2.1)
        raise PayloadError("body", f"expected two parts, got {len(parts)}")
    signature = read_section(parts[1])
    if signature.media_type not in _SIGNATURE_TYPES:
        raise PayloadError("body", "the second part is no PKCS #7 signature")
    if len(signature.body) > SIGNATURE_LIMIT:
        raise PayloadError("smime.p7s", f"more than {SIGNATURE_LIMIT} octets")
    return Signed(octets=_canonical(parts[0]), signature=signature.content())


def read_section(raw: bytes) -> Section:
    """Cut an entity into its fields and its body.

    Raises:
        PayloadError: the fields are too long, or too broken to be read.

    """
    blank = _BLANK.search(raw, 0, HEADER_LIMIT)
    if blank is None:
        raise PayloadError("headers", f"no end within {HEADER_LIMIT} octets")
    try:
        return Section(head=read_headers(raw[: blank.end()]), body=raw[blank.end() :])
    except BROKEN as error:
        text = f"broken header ({type(error).__name__})"
        raise PayloadError("headers", text) from None


def _sections(multipart: Section, path: str) -> list[Section]:
    if not multipart.media_type.startswith("multipart/"):
        raise PayloadError(path, "expected a multipart")
    return [read_section(part) for part in _split(multipart, path)]


def _split(multipart: Section, path: str) -> list[bytes]:
    """Return the parts between the boundary lines, each without its last line end."""
    boundary = _boundary(multipart.head)
    if not boundary:
        raise PayloadError(path, "no boundary")
    line = re.compile(
        rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)"
    )
    parts: list[bytes] = []
    start: int | None = None
    for match in line.finditer(multipart.body):
        if start is not None:
            parts.append(multipart.body[start : match.start()])
        if match[1]:
            return parts
        if len(parts) > PARTS_LIMIT:
            raise PayloadError(path, f"more than {PARTS_LIMIT} parts")
        start = _after_line_end(multipart.body, match.end())
    raise PayloadError(path, "no closing boundary")


def _after_line_end(body: bytes, at: int) -> int:
    if body.startswith(b"\r\n", at):
        return at + 2
    return at + 1


def _boundary(head: Mail) -> bytes:
    try:
        return (head.get_boundary() or "").encode("ascii")
    except (MessageError, *BROKEN):
        return b""


def _canonical(octets: bytes) -> bytes:
    """Return what was signed: with CRLF, where a mail store has made LF of it."""
    return octets if b"\r\n" in octets else octets.replace(b"\n", b"\r\n")
