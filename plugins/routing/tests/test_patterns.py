"""Many expressions at once find what each finds by itself, in linear time."""

import time

import pytest
from gateway_routing.patterns import Patterns
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PluginError

ATOMS = st.sampled_from(
    ["a", "b", "[ab]+", "c?b", "(?:ab|ba)c", r"\\bca", "è.{0,9}a", "c$"]
)
PATTERNS = st.lists(st.lists(ATOMS, min_size=1, max_size=3).map("".join), max_size=9)


@given(PATTERNS, st.text("abcè \n"))
def test_as_each_by_itself(patterns, text):
    """The set of all misses nothing and adds nothing."""
    alone = [p for p in dict.fromkeys(patterns) if Patterns([p]).clues([p], text)]

    assert alone == Patterns(patterns).found(text)


def test_clues_are_places_in_the_text():
    """In characters, not bytes."""
    [clue] = Patterns(["buca"]).clues(["buca"], "c'è già una BUCA")

    assert (12, 16) == (clue.start, clue.end)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+b", "(a*)*c", "(.*a){12}d"])
def test_time_is_linear(pattern):
    """What ruins other engines costs a thousandth of a second a letter at most."""
    patterns = Patterns([pattern, *(f"x{n}" for n in range(1000))])
    started = time.perf_counter()
    patterns.found("a" * 100_000 + "!")

    assert time.perf_counter() - started < 2.0


def test_no_room_for_the_automaton():
    """Where all at once don't fit, they are tried one by one: none is missed."""
    patterns = Patterns(["a", "b", "c"])
    patterns._set = type("Full", (), {"Match": lambda self, text: None})()

    assert ["a", "c"] == patterns.found("ac")


def test_too_large_together():
    """Told at start, with what to do."""
    many = [f"x{number}.{{0,50}}y" for number in range(100)]

    with pytest.raises(PluginError, match="100 patterns .* too large together"):
        Patterns(many, memory=1 << 16)
