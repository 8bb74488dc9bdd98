"""The words of a text name the service: most different words win, then the order."""

import csv
from pathlib import Path

import pytest
from gateway_routing.config import Rule
from gateway_routing.keywords import Keywords, words_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Assignment

DATA = Path(__file__).parent / "data"


def rows():
    lines = (DATA / "assignments.tsv").read_text("utf-8").splitlines()
    table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [[unescaped(cell) for cell in row.values()] for row in table]


def unescaped(cell):
    return cell.encode("latin-1", "backslashreplace").decode("unicode_escape")


def rules(text):
    """Read ``service: word word; service: word``."""
    pairs = [rule.split(":") for rule in text.split(";")]
    return [Rule(service=name.strip(), words=words.split()) for name, words in pairs]


@pytest.mark.parametrize(("given", "text", "service", "words", "confidence"), rows())
def test_assignments(given, text, service, words, confidence):
    """Whole words count, whatever their case and accents; ``*`` is any ending."""
    found = Keywords(rules(given)).assign(text)
    if not service:
        assert found is None
        return

    expected = Assignment(
        service=service,
        reason=f"parole: {words}",
        source="routing",
        confidence=pytest.approx(float(confidence), abs=1e-4),
    )
    assert expected == found


def test_no_rules():
    """Without rules nothing is assigned."""
    assert Keywords(()).assign("una buca") is None


WORDS = st.lists(
    st.from_regex(r"[a-cèÈ]{1,3}\*?", fullmatch=True), min_size=1, max_size=4
)


@given(st.text("abcèÈ '\u0301\n") | st.text(), st.lists(WORDS, max_size=4))
def test_any_text(text, words):
    """What is named as the reason stands in the text; confidence is below 1."""
    made = [Rule(service=f"s{n}", words=each) for n, each in enumerate(words)]
    found = Keywords(made).assign(text)

    if found is not None:
        named = found.reason.removeprefix("parole: ").split(", ")
        assert set(named) <= set(words_of(text))
        assert len(named) == len(set(named))
        assert 0 < found.confidence < 1


@given(
    st.lists(st.from_regex(r"[abcè]{1,3}", fullmatch=True), max_size=6),
    st.lists(WORDS, max_size=4),
    st.randoms(use_true_random=False),
)
def test_order_of_words_does_not_matter(said, words, chance):
    """Which service it is does not depend on where in the text its words stand."""
    made = [Rule(service=f"s{n}", words=each) for n, each in enumerate(words)]
    found = Keywords(made).assign(" ".join(said))
    chance.shuffle(said)
    again = Keywords(made).assign(" ".join(said))

    assert (found and found.service) == (again and again.service)
    assert (found and found.confidence) == (again and again.confidence)
