"""Sequence sets name what they are made of, and nothing else."""

from __future__ import annotations

import pytest
from gateway_email.sequence_set import sequence_set
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([7], "7"), ([1, 2, 3], "1:3"), ([1, 2, 4, 6, 7], "1:2,4,6:7")],
)
def test_runs_are_ranges(numbers: list[int], expected: str):
    """A run of two is a range, too."""
    assert expected == sequence_set(numbers)


@given(st.sets(st.integers(1, 300), min_size=1))
def test_all_are_named_and_no_other(numbers: set[int]):
    """Read back, it is the same numbers."""
    named: list[int] = []
    for part in sequence_set(sorted(numbers)).split(","):
        first, _, last = part.partition(":")
        named += range(int(first), int(last or first) + 1)

    assert sorted(numbers) == named
