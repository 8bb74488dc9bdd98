"""Quoted history and signatures in HTML mail, by the marks of those who put them there.

The common clients name what they quote (a class, an id, the style of a rule); what no
mark names is left to `gateway_email.reply`, which reads the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

_QUOTED = (
    'blockquote[type="cite"]',  # Apple Mail, Thunderbird, Roundcube, Open-Xchange
    "blockquote.gmail_quote",  # Gmail; not div.gmail_quote, where answers may stand
    "blockquote.protonmail_quote",
    "div.protonmail_quote",
    "div.yahoo_quoted",
    "div.gmail_attr",  # the line above the quotation
    "div.gmail_extra > div.gmail_quote",
    "div.moz-cite-prefix",
    "#reply-intro",  # Roundcube
    '[fairemail="reference"]',
    '[data-marker="__QUOTED_TEXT__"]',  # Zimbra
    '[data-marker="__HEADERS__"]',
    "#mail-editor-reference-message-container",  # Outlook for the web, mobile
)
"""Elements that hold history and nothing else."""

_BEGINS = (
    "#divRplyFwdMsg",  # Outlook for the web
    "#appendonsend",
    "#ms-outlook-mobile-body-separator-line",
    "#zwchr",  # Zimbra
    "#OLK_SRC_BODY_SECTION",  # Outlook for Mac
)
"""Elements from which on all is history."""

_RULES = 'div[style*="border-top"], div[style*="BORDER-TOP"]'
_RULE_HEADER = re.compile(r"\s*(?:da|from|von|de)\s*:", re.IGNORECASE)
"""Outlook's rule above the header block; a rule alone is only a rule."""

_SIGNATURES = (
    ".gmail_signature",
    ".gmail_signature_prefix",
    ".moz-signature",
    ".k9mail-signature",
    ".io-ox-signature",
    ".protonmail_signature_block",
    "#Signature",
    "#AppleMailSignature",
    "#ms-outlook-mobile-signature",
    "#composer_signature",  # Samsung
    "#ymail_android_signature",
    "#ymail_ctr_id_signature",
    '[data-marker="__SIG_PRE__"]',
    '[data-marker="__SIG_POST__"]',
)
_MANY = 50
"""Elements whose text is looked at: nested, it costs quadratic time."""

_SAYS_MORE = re.compile(r"(?i)p\.? ?s\b|[?!]")


def cut(tree: LexborHTMLParser) -> None:
    """Remove from ``tree`` what its marks name as history or as a signature."""
    for node in _beginnings(tree):
        _remove_from(node)
    for node in tree.css(",".join(_QUOTED)):
        node.remove()
    for node in tree.css(",".join(_SIGNATURES))[:_MANY]:
        if not _SAYS_MORE.search(node.text()):
            node.remove()


def _beginnings(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    """Walk what begins the history: the first of them takes the rest along."""
    yield from tree.css(",".join(_BEGINS))[:1]
    for node in tree.css(_RULES)[:_MANY]:
        if _RULE_HEADER.match(node.text()):
            yield node
            return


def _remove_from(node: LexborNode) -> None:
    """Remove a node and all that follows it in the document."""
    doomed: list[LexborNode] = [node]
    current: LexborNode | None = node
    while current is not None and current.tag not in ("body", "html"):
        following = current.next
        while following is not None:
            doomed.append(following)
            following = following.next
        current = current.parent
    for each in doomed:
        each.remove()
