"""The new text of a reply: without the quoted history and the signature.

Presentation only: the original is always kept whole.
"""

from __future__ import annotations

import re
from itertools import takewhile

from mailparser_reply.parser import (  # type: ignore[import-untyped]
    EmailMessage as SplitMail,
)
from mailparser_reply.parser import EmailReply

_HEAD_CHARACTERS = 8_000
_LINE_CHARACTERS = 2_000
"""The library's expressions are quadratic: it gets no more than this to read."""

_CLOSINGS = ("cordiali saluti", "best regards", "kind regards", "regards", "thank")
_CLOSING_LINES = 6
_CLOSING_CHARACTERS = 60
_SAYS_MORE = re.compile(r"(?i)p\.? ?s\b|.*(\d[ ./-]?){6}|.*[?!]")

_HEADER_LINES = 3
"""Lines a quoted header block has at least: From, Sent, To."""


def new_text(text: str) -> str:
    """Return what the writer added; all of it if nothing else would be left."""
    lines = _squeeze(text)
    head = _head(lines)
    replies = SplitMail(
        text="\n".join(head), languages=["it", "en"], keep_hyphen_lists=True
    ).read()
    first, history = _join_false_splits(replies.replies)
    if not history:
        first = _rejoin(first, lines[len(head) :])
    return _without_quotes(first) or "\n".join(lines).strip()


def _squeeze(text: str) -> list[str]:
    """Return the lines, with runs of blank lines made one."""
    lines = [line.rstrip() for line in text.replace("\u00a0", " ").splitlines()]
    pairs = zip(lines, ["", *lines], strict=False)
    return [line for line, before in pairs if line or before]


def _head(lines: list[str]) -> list[str]:
    """Return the lines that the library may read, from the first on."""
    room = _HEAD_CHARACTERS

    def fits(line: str) -> bool:
        nonlocal room
        room -= len(line) + 1
        return room >= 0 and len(line) <= _LINE_CHARACTERS

    return list(takewhile(fits, lines))


def _join_false_splits(replies: list[EmailReply]) -> tuple[str, bool]:
    """Return the new text, and whether history follows it.

    "Da: lunedì / A: venerdì" looks like a header to the library: what is no likely
    header belongs to the text.
    """
    text = _body(replies[0])
    contents = [replies[0].content]
    for reply in replies[1:]:
        if _is_header(reply.headers or ""):
            return text, True
        contents.append(reply.content)
        text = "\n".join(contents)
    return text, False


def _is_header(header: str) -> bool:
    """Tell "Il 4/11/25 URP ha scritto:" and Outlook's block from the writer's words."""
    if header.rstrip().endswith(":"):
        return any(sign.isdigit() for sign in header)
    words = (line.strip("*> ").split() for line in header.splitlines())
    return sum(bool(line) and line[0].endswith(":") for line in words) >= _HEADER_LINES


def _body(reply: EmailReply) -> str:
    """Return a reply without header and signature, unless nothing else is in it."""
    is_whole = bool(reply.headers) and not _is_header(reply.headers)
    if is_whole or not _is_signature(reply.signatures or ""):
        return str(reply.content)
    return str(reply.body or reply.content)


def _is_signature(cut: str) -> bool:
    """Tell a signature from what somebody says below "Cordiali saluti".

    Certain marks cut everything; a closing only a few short lines without a number: a
    postscript or a telephone number is worth more than a tidy text.
    """
    if not cut.lower().startswith(_CLOSINGS):
        return True
    lines = [line for line in cut.splitlines() if line]
    return len(lines) <= _CLOSING_LINES and not any(
        len(line) > _CLOSING_CHARACTERS or _SAYS_MORE.match(line) for line in lines
    )


def _rejoin(first: str, rest: list[str]) -> str:
    return "\n".join([first, *rest]) if rest else first


def _without_quotes(text: str) -> str:
    """Drop quoted lines, and the separator that some clients leave at the end."""
    lines = [line for line in text.splitlines() if not line.startswith(">")]
    while lines and (not lines[-1] or _is_separator(lines[-1])):
        lines.pop()
    return "\n".join(lines).strip()


def _is_separator(line: str) -> bool:
    """Recognise ``-----Messaggio originale-----``."""
    return line.startswith("-----") and line.endswith("-----")
