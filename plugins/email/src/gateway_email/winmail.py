"""What is inside of ``winmail.dat`` (MS-OXTNEF), as Outlook sends it; pure.

The library takes any length on trust: only a child process may call this.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from compressed_rtf import decompress  # type: ignore[import-untyped]
from striprtf.striprtf import rtf_to_text
from tnefparse import TNEF  # type: ignore[import-untyped]
from tnefparse.tnef import TNEFAttachment  # type: ignore[import-untyped]

from gateway.errors import Unreadable
from gateway_email.charset import decode
from gateway_email.headers import clean
from gateway_email.media import type_of

_FILES = 200
_HEAD = 6
"""Octets before the first object."""

_RTF_OCTETS = 1_000_000
_SIGNATURE = b"\x78\x9f\x3e\x22"

# It reports on what it can't read: with words of the mail.
logging.getLogger("tnefparse").disabled = True


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file within; ``content`` as it was sent."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Text, HTML ("" if there is none) and files."""

    text: str
    html: str
    files: tuple[File, ...]


def unpack(content: bytes) -> Contents:
    """Return what is inside.

    Raises:
        Unreadable: it is no TNEF, is damaged, or has more than 200 files.

    """
    try:
        return _unpack(content)
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001 (it raises what struct and codecs do)
        kind = type(error).__name__
        raise Unreadable("winmail.dat", f"can't be unpacked ({kind})") from None


def _unpack(content: bytes) -> Contents:
    tnef = TNEF(content, do_checksum=True)
    read = _HEAD + sum(each.length for each in tnef.objects)
    if read != len(content) or not all(it.good_checksum for it in tnef.objects):
        raise Unreadable("winmail.dat", "damaged")
    if len(tnef.attachments) > _FILES:
        raise Unreadable("winmail.dat", f"more than {_FILES} files")
    html = _text(tnef.htmlbody)
    text = _text(tnef.body)
    if not text.strip() and not html.strip():
        text = _rich_text(tnef)
    files = tuple(map(_file, tnef.attachments))
    return Contents(text=text, html=html, files=files)


def _text(body: object) -> str:
    """Return a body, which the library has decoded, or not, or put into a list."""
    while isinstance(body, (list, tuple)):
        body = body[0] if body else ""
    if isinstance(body, bytes):
        body = decode(body, "cp1252")
    return body.rstrip("\x00") if isinstance(body, str) else ""


def _rich_text(tnef: TNEF) -> str:
    compressed = _octets(tnef._rtfbody)  # noqa: SLF001 (the property fails on a list)
    if not compressed:
        return ""
    rich = decompress(compressed)[:_RTF_OCTETS]
    text = rich.decode("cp1252", errors="replace")
    return str(rtf_to_text(text, errors="replace"))  # type: ignore[no-untyped-call]


def _file(found: TNEFAttachment) -> File:
    name = clean(_text(found.long_filename())).replace("\\", "/").rpartition("/")[2]
    content = _octets(found.data)
    if content.startswith(_SIGNATURE):
        return File(name=name, media_type="application/ms-tnef", content=content)
    return File(name=name, media_type=type_of(name), content=content)


def _octets(data: object) -> bytes:
    while isinstance(data, (list, tuple)):
        data = data[0] if data else b""
    return data if isinstance(data, bytes) else b""
