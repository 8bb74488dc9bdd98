"""Long texts become several messages; bold stays bold, emoji stay whole. Pure.

WhatsApp's marks: ``*bold*``, ``_italic_``, ``~struck~``, and code in one or three
backquotes (WhatsApp, *How to format your messages*). A span ends on its line, but for
three backquotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from semantic_text_splitter import TextSplitter

LONGEST_TEXT: Final = 4096
"""Characters of a text message at most."""

_ROOM_FOR_NOTES = 596
"""What may be added to a text: which attachments are missing, marks closed anew."""

_PART = LONGEST_TEXT - _ROOM_FOR_NOTES
_SPLITTER = TextSplitter(_PART)
_SPAN = re.compile(
    r"(?P<mark>```)(?=\S)(?:.+?)(?<=\S)```"
    r"|(?<![\w*_~`])(?P<line>[*_~`])(?=[^\s*_~`])[^\n]*?(?<=\S)(?P=line)(?![\w*_~`])",
    re.DOTALL,
)


def split_text(text: str) -> list[str]:
    """Return the messages that a text is sent as: cut at paragraphs, then sentences."""
    if len(text) <= _PART:
        return [text]
    chunks = _SPLITTER.chunk_indices(text)
    spans = list(_spans(text))
    return [_mended(start, chunk, spans) for start, chunk in chunks]


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each formatted span begins and ends, and its mark."""
    for found in _SPAN.finditer(text):
        yield found.start(), found.end(), found["mark"] or found["line"]


def _mended(start: int, chunk: str, spans: list[tuple[int, int, str]]) -> str:
    """Open a span again that began before the chunk, and close one that goes on."""
    end = start + len(chunk)
    opened = [m for a, b, m in spans if a + len(m) <= start < b - len(m)]
    closed = [m for a, b, m in spans if a + len(m) < end <= b - len(m)]
    return "".join([*opened, chunk, *reversed(closed)])
