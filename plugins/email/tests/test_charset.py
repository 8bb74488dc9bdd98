"""Charsets that lie, are unknown, or are none."""

from __future__ import annotations

import pytest
from gateway_email.charset import decode
from hypothesis import given
from hypothesis import strategies as st

TEXT = "Già da lunedì la città è al buio, così non si cammina: perché?"


@pytest.mark.parametrize(
    ("written", "claimed"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "iso-8859-1"),
        ("utf-8", "us-ascii"),
        ("utf-8", "x-unknown"),
        ("cp1252", "utf-8"),
        ("cp1252", "us-ascii"),
        ("cp1252", "unicode_escape"),
        ("mac-roman", "utf-8"),
        ("cp850", "x-unknown"),
        ("utf-16", "utf-16"),
        ("iso-8859-15", "iso-8859-15"),
    ],
)
def test_text_is_read_whatever_is_claimed(written: str, claimed: str) -> None:
    """A wrong, unknown or dangerous charset in the header does not spoil the text."""
    assert TEXT == decode(TEXT.encode(written), claimed)


def test_latin_means_windows() -> None:
    """Euro sign and typographic quotes survive a claim of ISO-8859-1."""
    text = "35 € “al mese”"

    assert text == decode(text.encode("cp1252"), "iso-8859-1")


@given(content=st.binary(), claimed=st.text(max_size=12))
def test_any_bytes_are_text(content: bytes, claimed: str) -> None:
    """No bytes and no claim raise."""
    assert isinstance(decode(content, claimed), str)
