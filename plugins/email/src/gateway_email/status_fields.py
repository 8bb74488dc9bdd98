"""The blocks of fields in a delivery report (RFC 3464 §2.1, RFC 6533 §3)."""

from __future__ import annotations

import base64
import binascii
import quopri
from collections.abc import Iterator
from email import policy
from email.message import Message
from typing import TypeAlias

from gateway_email.headers import raw_value
from gateway_email.mime import Part

Fields: TypeAlias = dict[str, str]

_LIMIT = 256 * 1024
"""Characters of a report that we read."""


def read_blocks(part: Part) -> list[Fields]:
    """Return the blocks of a report: the message's first, then each recipient's."""
    return list(_blocks(_source(part)[:_LIMIT]))


def _source(part: Part) -> str:
    """Return the part as it was sent: the library takes it for mails in a mail."""
    inner = part.message.get_payload()
    if not isinstance(inner, list):
        return part.text()
    mails = (each for each in inner if isinstance(each, Message))
    sources = [each.as_bytes(policy=policy.compat32) for each in mails]
    encoding = raw_value(part.message, "Content-Transfer-Encoding")
    return _decoded(b"\n\n".join(sources), encoding)


def _decoded(octets: bytes, encoding: str) -> str:
    try:
        if encoding.lower() == "base64":
            octets = base64.b64decode(octets)
        elif encoding.lower() == "quoted-printable":
            octets = quopri.decodestring(octets)
    except binascii.Error:
        return ""
    return octets.decode("utf-8", errors="replace")


def _blocks(text: str) -> Iterator[Fields]:
    fields: Fields = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t" and name:
            fields[name] += f" {line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields.setdefault(name, value.strip())
