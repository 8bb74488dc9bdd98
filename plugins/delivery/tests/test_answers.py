"""What a service's system says, read from JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_delivery import answers
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PayloadError

FIXTURES = Path(__file__).parent / "fixtures"
CASES = [
    ("answered", "open", 0),
    ("closed", "closed", 0),
    ("closed_silently", "closed", 0),
    ("handed_on", "handed_on", 0),
    ("looks_like_an_order", "open", 0),
    ("with_file", "open", 1),
]
REFUSED = sorted((FIXTURES / "refused").glob("*.json"))


@pytest.mark.parametrize(("name", "status", "files"), CASES)
def test_answer_is_read(name, status, files):
    """Case, files, and what is to be done with the case."""
    said = answers.read((FIXTURES / "answers" / f"{name}.json").read_bytes())

    assert "URP-2026-000001" == said.case
    assert (status, files) == (said.status, len(said.files))


def test_each_answer_has_its_case():
    """No fixture lies unused."""
    stems = {file.stem for file in (FIXTURES / "answers").iterdir()}

    assert {name for name, *_ in CASES} == stems


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.stem)
def test_what_is_no_answer_says_why(file):
    """The error names the path, and what was expected there."""
    with pytest.raises(PayloadError) as caught:
        answers.read(file.read_bytes())

    assert file.with_suffix(".txt").read_text().strip() in str(caught.value)


@pytest.mark.parametrize(("name", "status", "files"), CASES)
def test_no_beginning_of_an_answer_is_one(name, status, files):
    """A file that is still being written is never taken."""
    whole = (FIXTURES / "answers" / f"{name}.json").read_bytes().rstrip()

    for end in range(len(whole)):
        with pytest.raises(PayloadError):
            answers.read(whole[:end])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_comes_is_read_or_refused(body):
    """Nothing but a refusal ever comes of a body."""
    try:
        answers.read(b'{"case": "1", "text": "' + body + b'"}')
    except PayloadError:
        return
