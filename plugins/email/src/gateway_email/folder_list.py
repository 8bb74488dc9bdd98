"""What a server says of its folders (RFC 3501 §7.2.2); pure."""

from __future__ import annotations

from collections.abc import Sequence

from imapclient import imap_utf7  # type: ignore[import-untyped]
from imapclient.exceptions import ProtocolError  # type: ignore[import-untyped]
from imapclient.response_parser import (  # type: ignore[import-untyped]
    parse_response,
)

_NO_MAIL = {rb"\noselect", rb"\nonexistent"}


def folder_names(lines: Sequence[bytes | bytearray]) -> list[str]:
    """Return the names in the lines of a LIST, but of folders that hold no mail."""
    names = []
    for number, line in enumerate(lines):
        # The library has taken the word LIST away, of the end it leaves the text.
        rest = bytes(line)
        if not rest.startswith(b"("):
            continue
        literal = lines[number + 1 : number + 2] if rest.endswith(b"}") else ()
        try:
            parsed = parse_response([(rest, bytes(literal[0])) if literal else rest])
        except ProtocolError:
            continue
        if len(parsed) >= 3 and not {f.lower() for f in parsed[0]} & _NO_MAIL:  # noqa: PLR2004 (flags, delimiter, name)
            names.append(_text(parsed[2]))
    return names


def _text(name: bytes | int) -> str:
    """Return a name; one of digits alone is read as a number."""
    return str(imap_utf7.decode(name) if isinstance(name, bytes) else name)
