"""Ordinary messages of citizens pass: a false alarm costs somebody's trust."""

import csv
from pathlib import Path

import pytest
from gateway_moderation import lists
from gateway_moderation.index import WordIndex

DATA = Path(__file__).parent / "data"

# A word list can't tell the literal use: staff see these two and let them through.
KNOWN_FALSE_ALARMS = {"Merda", "Troia"}


def messages(name):
    lines = (DATA / name).read_text("utf-8").splitlines()
    return [text for _, text in csv.reader(lines, "excel-tab", quoting=csv.QUOTE_NONE)]


@pytest.fixture(scope="module")
def index():
    """The words that come with the plugin."""
    return WordIndex(lists.builtin())


def alarms(index, texts):
    return [text[s.start : s.end] for text in texts for s in index.find(text)]


def test_civic_messages(index):
    """No ordinary message is held."""
    texts = messages("civic_messages.tsv")

    assert len(texts) == 39
    assert alarms(index, texts) == []


def test_hard_negatives(index):
    """Of angry and literal messages no more are held than we know of."""
    texts = messages("hard_negatives.tsv")

    assert len(texts) == 20
    assert set(alarms(index, texts)) == KNOWN_FALSE_ALARMS


def test_dropped_words_matter(index):
    """The whole list would hold an ordinary message: what we drop is not idle."""
    whole = WordIndex([*lists.builtin(), *lists.builtin_dropped()])

    assert alarms(whole, messages("civic_messages.tsv")) == ["Cagna"]
