"""The new text of a mail: without the quoted history and the signature.

Presentation only: the original is always kept whole. A word of the writer's too few is
worse than a line of history too many.
"""

from __future__ import annotations

import re
from itertools import takewhile

from mailparser_reply.parser import (  # type: ignore[import-untyped]
    EmailMessage as SplitMail,
)
from mailparser_reply.parser import EmailReply

from gateway_email.kinds import Kind, forward_mark
from gateway_email.markup import html_texts
from gateway_email.signatures import drop_trailers, is_original_mark, is_signature

_HEAD_CHARACTERS = 8_000
_LINE_CHARACTERS = 2_000
"""The library's expressions are quadratic: it gets no more than this to read."""

_LINE_ENDS = "\t\n\v\f\r\x1c\x1d\x1e\x85"
_CONTROLS = {code for code in range(0xA0) if not chr(code).isprintable()}
_DIRECTIONS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_INVISIBLE = dict.fromkeys((_CONTROLS | _DIRECTIONS) - set(map(ord, _LINE_ENDS)))

_HEADER_LINES = 3
"""Lines a quoted header block has at least: From, Sent, To."""

_MACHINE_TOLD = re.compile(r"@|\b\d{1,2}:\d\d|\balle ore\b")
_PERSON_TOLD = (" mi ha scritto:", " ci ha scritto:")

_SUBJECTS = ("ogg:", "oggetto:", "subject:")
_INTRO_CHARACTERS = 300


def new_text(text: str, kind: Kind = Kind.ANSWER) -> str:
    """Return what the writer added; all of it if nothing else would be left."""
    lines = _squeeze(text)
    whole = "\n".join(lines).strip()
    if kind is Kind.FORWARD or _passes_on(lines):
        return whole
    if kind is Kind.ORIGINAL:
        return _without_signature(lines) or whole
    return _answer(lines) or whole


def new_text_of_html(html: str, kind: Kind = Kind.ANSWER) -> str:
    """Return what the writer added, by the marks in the HTML and then in its text."""
    texts = html_texts(html)
    whole = next(texts)
    if kind is not Kind.ANSWER or _passes_on(_squeeze(whole)):
        return new_text(whole, kind)
    return new_text(next(texts) or whole)


def _passes_on(lines: list[str]) -> bool:
    """Tell whether a mail passes another on, not answers one that did."""
    mark = forward_mark(lines)
    return mark is not None and not _has_history(lines[:mark])


def _has_history(lines: list[str]) -> bool:
    return _history_mark(lines) is not None or _join_false_splits(_split(lines))[1]


def _answer(lines: list[str]) -> str:
    lines = lines[: _history_mark(lines)]
    replies = _split(lines)
    first, history = _join_false_splits(replies)
    if not history:
        first = "\n".join([first, *lines[len(_head(lines)) :]])
    unquoted = [line for line in first.splitlines() if not line.startswith(">")]
    return "\n".join(drop_trailers(unquoted)).strip()


def _without_signature(lines: list[str]) -> str:
    """Return all but a signature at the end."""
    head = _head(lines)
    replies = _split(lines)
    pieces = [reply.content for reply in replies[:-1]]
    last = replies[-1]
    if len(head) == len(lines) and is_signature(last.signatures or ""):
        pieces.append(last.content.replace(last.signatures, ""))
    else:
        pieces.append("\n".join([last.content, *lines[len(head) :]]))
    text = "\n".join(drop_trailers("\n".join(pieces).splitlines())).strip()
    return text if _is_beginning(text, lines) else ""


def _is_beginning(text: str, lines: list[str]) -> bool:
    """Tell whether nothing was lost on the way: the library joins what it has cut."""
    words, whole = ("".join(filter(str.isalnum, it)) for it in (text, "".join(lines)))
    return whole.startswith(words)


def _squeeze(text: str) -> list[str]:
    """Return the lines, with runs of blank lines made one, and nothing invisible.

    NUL can't be stored; escapes and changes of direction deceive who reads.
    """
    visible = text.replace("\u00a0", " ").translate(_INVISIBLE)
    lines = [line.rstrip() for line in visible.splitlines()]
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


def _history_mark(lines: list[str]) -> int | None:
    """Return the line from which on is history by marks that the library misses.

    Not the first line: below it answers may stand.
    """
    for at, line in enumerate(lines[1:], start=1):
        if is_original_mark(line.strip()) or _is_intro_in_data(lines[at : at + 2]):
            return at
    return None


def _is_intro_in_data(lines: list[str]) -> bool:
    """Recognise "In data 4 novembre 2025 …, URP ha scritto:", on one or two lines."""
    if not lines[0].lstrip().lower().startswith("in data "):
        return False
    joined = (" ".join(lines[:count])[:_INTRO_CHARACTERS] for count in (1, 2))
    return any(text.endswith("ha scritto:") and _is_intro(text) for text in joined)


def _is_intro(text: str) -> bool:
    """Tell a program's "Il 4/11/25 10:12 … ha scritto:" from what a person tells."""
    words = " ".join(text.split())
    return bool(_MACHINE_TOLD.search(words)) and not words.endswith(_PERSON_TOLD)


def _split(lines: list[str]) -> list[EmailReply]:
    """Return the pieces that the library sees in the first lines."""
    split = SplitMail(
        text="\n".join(_head(lines)), languages=["it", "en"], keep_hyphen_lists=True
    )
    replies: list[EmailReply] = split.read().replies
    return replies


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
        return _is_intro(header)
    lines = [line.strip("*> ").lower() for line in header.splitlines()]
    named = sum(line.partition(" ")[0].endswith(":") for line in lines)
    is_told = "@" in header or any(line.startswith(_SUBJECTS) for line in lines)
    return named >= _HEADER_LINES and is_told


def _body(reply: EmailReply) -> str:
    """Return a reply without header and signature, unless nothing else is in it."""
    is_whole = bool(reply.headers) and not _is_header(reply.headers)
    if is_whole or not is_signature(reply.signatures or ""):
        return str(reply.content)
    return str(reply.body or reply.content)
