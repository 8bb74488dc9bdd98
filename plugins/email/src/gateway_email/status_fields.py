"""The blocks of fields in a delivery report (RFC 3464 §2.1, RFC 6533 §3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from gateway_email.mime import Part

Fields: TypeAlias = dict[str, str]

_LIMIT = 256 * 1024
"""Characters of a report that we read."""


def read_blocks(part: Part) -> list[Fields]:
    """Return the blocks of a report: the message's first, then each recipient's."""
    return list(_blocks(part.text()[:_LIMIT]))


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
