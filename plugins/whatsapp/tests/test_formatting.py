"""Long texts, bold and emoji on their way out."""

from __future__ import annotations

import re

import pytest
from gateway_whatsapp.formatting import LONGEST_TEXT, split_text
from hypothesis import given
from hypothesis import strategies as st

MARKS = re.compile(r"[*_~`]")
LONG = "La buca in via Dante sarà riparata lunedì mattina. "


@given(st.lists(st.text(min_size=1, max_size=3_000), max_size=8).map(". ".join))
def test_long_text_becomes_messages_that_fit(text):
    """Nothing is lost but white space at the seams, and there is room for notes."""
    parts = split_text(text)

    assert all(len(part) <= LONGEST_TEXT - 500 for part in parts)
    assert _letters(text) == _letters("".join(parts))


def _letters(text: str) -> str:
    return MARKS.sub("", "".join(text.split()))


def test_long_text_is_cut_where_a_sentence_ends():
    """As a person would cut it."""
    parts = split_text(LONG * 150)

    assert 3 == len(parts)
    assert all(part.endswith("mattina.") for part in parts)


@pytest.mark.parametrize("mark", ["*", "_", "~", "`", "```"])
def test_formatting_goes_on_in_the_next_message(mark):
    """A span that is cut is closed, and opened again."""
    parts = split_text(f"Attenzione: {mark}{(LONG * 100).strip()}{mark} Grazie.")

    assert 2 == len(parts)
    assert parts[0].endswith(f"mattina.{mark}")
    assert parts[1].startswith(f"{mark}La buca")
    assert parts[1].endswith(f"mattina.{mark} Grazie.")


@pytest.mark.parametrize(
    "text", ["5*3*2", "nome_di_file", "due * tre * sei", "* punto", "__init__", "**"]
)
def test_marks_that_format_nothing_are_left_alone(text):
    """No mark is added for what is none."""
    parts = split_text(f"{text} {LONG * 100}{text}")

    assert "".join(parts).count("*") == 2 * text.count("*")
    assert "".join(parts).count("_") == 2 * text.count("_")


FAMILY = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}\u200d\N{BOY}"
THUMB = "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
FLAG = "\N{REGIONAL INDICATOR SYMBOL LETTER I}\N{REGIONAL INDICATOR SYMBOL LETTER T}"


@pytest.mark.parametrize("emoji", [FAMILY, THUMB, FLAG], ids=["family", "thumb", "it"])
def test_emoji_stay_whole(emoji):
    """A cut never goes through one, even where there is no better place."""
    parts = split_text(emoji * 2000)

    assert len(parts) > 1
    assert {""} == {part.replace(emoji, "") for part in parts}
