"""The judge sees what is broken: else the crash tests would prove nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from crash_site import judge_citizen, judge_office
from ledger import Ledger

FILED = [("case 1", "a"), ("case 1", "b"), ("case 2", "c")]


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        (["a", "c"], []),
        (["b", "c"], []),
        (["a"], ["I4: 1 cases of which the citizen was never told"]),
        (["a", "b", "c"], ["I5: 1 cases of which the citizen was told twice"]),
        (["a", "a", "c"], ["I5: 1 cases of which the citizen was told twice"]),
    ],
)
def test_the_citizen_is_told_each_case_once(told, broken, tmp_path):
    """Whichever of its messages opened it."""
    assert broken == judge_citizen(ledger(tmp_path, "citizen", told), FILED)


@pytest.mark.parametrize(
    ("reached", "broken"),
    [
        (["a", "b"], []),
        (["a"], ["I4: 1 messages never reached the office"]),
        (["a", "b", "b"], ["I5: 1 messages took effect twice at the office"]),
    ],
)
def test_the_office_gets_each_message_once(reached, broken, tmp_path):
    """Not fewer, not more."""
    assert broken == judge_office(ledger(tmp_path, "office", reached), {"a", "b"})


def ledger(folder, target: str, messages: list[str]) -> Ledger:
    """Return a ledger that saw ``messages`` take effect."""
    effects = Counter((target, message) for message in messages)
    return Ledger(folder / "ledger.jsonl", by_message=effects)
