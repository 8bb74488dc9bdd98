"""Whole words and phrases are found, and the finds point into the original text."""

import csv
from pathlib import Path

import pytest
from gateway_moderation.index import WordIndex, fold
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"


def rows():
    lines = (DATA / "matches.tsv").read_text("utf-8").splitlines()
    table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [
        [unescaped(row[name]) for name in ("list", "text", "found")] for row in table
    ]


def unescaped(cell):
    return cell.encode("latin-1", "backslashreplace").decode("unicode_escape")


def found_in(text, index):
    return [text[span.start : span.end] for span in index.find(text)]


@pytest.mark.parametrize(("entries", "text", "found"), rows())
def test_matches(entries, text, found):
    """Case, accents and white space make no difference; parts of words are none."""
    expected = found.split("|") if found else []

    assert expected == found_in(text, WordIndex(entries.split("|")))


@given(st.text(), st.lists(st.text(), max_size=5))
def test_any_text(text, entries):
    """Finds are in order, apart, within the text, and each is on the list."""
    index = WordIndex(entries)
    spans = index.find(text)
    edges = [edge for span in spans for edge in (span.start, span.end)]

    assert edges == sorted(edges)
    assert all(0 <= edge <= len(text) for edge in edges)
    for span in spans:
        piece = text[span.start : span.end]
        assert found_in(piece, index) == [piece]


@given(
    st.text("ab è\u0301'.", max_size=8),
    st.sampled_from(["scemo", "però", "testa di rapa"]),
    st.text("ab è\u0301'.", max_size=8),
)
def test_found_wherever_it_stands(before, entry, after):
    """An entry is found in its place, whatever stands around it."""
    text = f"{before}. {entry.upper()} ,{after}"
    (span,) = WordIndex([entry]).find(text)

    assert entry.upper() == text[span.start : span.end]
    assert len(before) + 2 == span.start


@given(st.text())
def test_fold_is_stable(word):
    """What has no case and accents any more stays as it is."""
    assert fold(word) == fold(fold(word))


def test_counts_different_entries():
    """Spellings of one word count once; what has no letter does not count."""
    assert len(WordIndex(["Scemo", "scémo", "testa  di rapa", "!", ""])) == 2


def test_each_word_is_looked_at_once(monkeypatch):
    """The work grows with the text, not with the lists."""
    index = WordIndex([f"parola{n}" for n in range(5000)] + ["parole e altro"])
    looked_at = []
    monkeypatch.setattr(
        "gateway_moderation.index.fold", lambda word: looked_at.append(word) or word
    )

    assert index.find("parole e " * 1000) == ()
    assert len(looked_at) == 2000
