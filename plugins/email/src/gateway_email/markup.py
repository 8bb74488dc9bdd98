"""HTML mail as the text a reader would see; nothing is ever fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from html2text import HTML2Text
from selectolax.lexbor import LexborHTMLParser, LexborNode

from gateway_email.quotes import cut

_CHARACTERS = 1_000_000
_TAGS = 20_000
"""Tags that are laid out: nested, they cost quadratic time."""

_TAG = re.compile(r"<[^<>]*>")

_UNSEEN = (
    "head",
    "script",
    "style",
    "template",
    "noscript",
    "title",
    "img",
    "[hidden]",
)
_HIDING = re.compile(r"(display:none|visibility:hidden|mso-hide:all)(;|!|$)")
_LINK = re.compile(r"\s*(https?|mailto|tel):", re.IGNORECASE)
_CELLS = " | "


class _PlainText(HTML2Text):
    """HTML as plain text: without Markdown's escapes, a blockquote as ``> ``."""

    def __init__(self) -> None:
        super().__init__(bodywidth=0)
        self.ignore_images = True
        self.ignore_emphasis = True
        self.ignore_mailto_links = True
        self.ignore_tables = True
        self.single_line_break = True
        self.unicode_snob = True

    def handle_data(self, data: str, entity_char: bool = False) -> None:  # noqa: FBT001, FBT002 (the library's signature)
        """Take ``data`` unescaped, as the library does for entities."""
        del entity_char
        super().handle_data(data, entity_char=True)


def html_to_text(html: str) -> str:
    """Return the text a reader would see, cells of a row apart, links visible."""
    return next(html_texts(html))


def html_texts(html: str) -> Iterator[str]:
    """Return the text a reader would see; then, if asked, that without history.

    What counts as history, and as a signature, is what its marks name so.
    """
    html = html[:_CHARACTERS]
    if html.count("<") > _TAGS:
        text = _TAG.sub("\n", html).strip()
        yield text
        yield text
        return
    # Lexbor mends the markup: html2text takes half a minute for 20,000 open quotes.
    tree = LexborHTMLParser(html)
    _drop(tree.css(",".join(_UNSEEN)))
    _drop(node for node in tree.css("[style]") if _is_hidden(node))
    for link in tree.css("a[href]"):
        if not _LINK.match(link.attributes.get("href") or ""):
            del link.attrs["href"]
    for cell in tree.css("td + td, th + th, td + th, th + td"):
        cell.insert_before(_CELLS)
    yield _text(tree)
    cut(tree)
    yield _text(tree)


def _text(tree: LexborHTMLParser) -> str:
    if tree.body is None:
        return ""
    return _PlainText().handle(tree.body.html or "").strip()


def _drop(nodes: Iterable[LexborNode]) -> None:
    for node in list(nodes):
        node.remove()


def _is_hidden(node: LexborNode) -> bool:
    style = (node.attributes.get("style") or "").lower()
    return bool(_HIDING.search("".join(style.split())))
