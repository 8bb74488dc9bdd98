"""HTML mail as a reader would see it."""

from __future__ import annotations

import time

import pytest
from gateway_email.markup import html_to_text
from gateway_email.reply import new_text_of_html

HIDDEN = [
    "<script>NO</script>",
    "<style>NO</style>",
    '<p style="display: none">NO</p>',
    '<p style="font-size:1px;VISIBILITY:hidden !important">NO</p>',
    '<p style="mso-hide:all">NO</p>',
    "<p hidden>NO</p>",
    "<!-- NO -->",
    "<title>NO</title>",
    '<img src="https://x.example/NO.gif" alt="NO">',
]
BOMBS = {
    "nested": "<div>" * 19_999 + "x",
    "nested quotes": "<blockquote>" * 19_999 + "x",
    "half the quotes": "<a href='" * 19_999,
    "quotes": "<a href='" * 100_000,
    "deep": "<div>" * 150_000 + "x",
    "tables": "<table><tr><td>" * 60_000 + "x",
    "cells": "<table><tr>" + "<td>x" * 150_000,
    "quoted": "<blockquote>" * 80_000 + "x",
    "open": "<" * 1_000_000,
    "rules": '<div style="border-top:1px">Da: x' * 9_000,
    "cited": '<blockquote type="cite">x' * 9_000,
    "signatures": '<div class="gmail_signature">x' * 9_000,
    "begun": '<div id="divRplyFwdMsg">x' * 9_000,
    "styles": '<p style="display:none">x' * 30_000,
}


@pytest.mark.parametrize("html", HIDDEN)
def test_what_no_reader_sees_is_left_out(html: str) -> None:
    """Scripts, styles, hidden text and pictures give no text."""
    assert html_to_text(f"<p>uno</p>{html}<p>due</p>").split() == ["uno", "due"]


def test_links_are_visible() -> None:
    """A link shows where it leads."""
    html = 'Vedi <a href="https://www.comune.test/m">il modulo</a>.'

    assert html_to_text(html) == "Vedi [il modulo](https://www.comune.test/m)."


def test_rows_of_a_table_stay_rows() -> None:
    """Cells of a row stand on one line, apart from each other."""
    html = "<table><tr><th>Via<th>Civico<tr><td>Roma<td>12</table>"
    lines = [line.strip() for line in html_to_text(html).splitlines()]

    assert lines == ["Via | Civico", "Roma | 12"]


@pytest.mark.parametrize("html", BOMBS.values(), ids=BOMBS)
def test_hostile_html_takes_little_time(html: str) -> None:
    """A megabyte made to be slow is read in less than five seconds."""
    start = time.process_time()
    new_text_of_html(html)

    assert time.process_time() - start < 5
