"""Nobody can be recognised in open data."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.open_data import HIDDEN, Row, anonymous

ROWS = st.lists(
    st.tuples(
        st.builds(
            Row,
            month=st.sampled_from(["2026-01", "2026-02"]),
            channel=st.sampled_from(["whatsapp", "pec"]),
            service=st.sampled_from(["strade", "verde", "urp"]),
            district=st.sampled_from(["Centro", "Pirri", ""]),
            state=st.sampled_from(["closed", "assigned"]),
            days_to_answer=st.just("0-1"),
            days_to_close=st.just("3-7"),
        ),
        st.sampled_from([f"citizen{n}" for n in range(20)]),
    ),
    max_size=60,
)


@given(ROWS, st.integers(3, 10))
def test_nobody_is_one_of_few(rows, least):
    """Behind each combination are people enough; nothing is made up, or lost uncounted.

    Who is behind a row that came out is found by what cannot be hidden of it.
    """
    found = anonymous(rows, least)

    assert len(rows) == len(found.rows) + found.left_out
    assert list(found.rows) == sorted(found.rows)
    for group in {row.group for row in found.rows}:
        behind = {whose for row, whose in rows if _may_be(row.group, group)}
        assert least <= len(behind)
    months = Counter(row.month for row, _ in rows)
    assert Counter(row.month for row in found.rows) <= months


def _may_be(group: tuple[str, ...], shown: tuple[str, ...]) -> bool:
    return all(b in {a, HIDDEN} for a, b in zip(group, shown, strict=True))


def _row(service: str, district: str, whose: str) -> tuple[Row, str]:
    row = Row("2026-01", "pec", service, district, "closed", "0-1", "1-3")
    return row, whose


def test_hidden_step_by_step():
    """First the district, and only where it is rare; what stays rare is left out."""
    rows = [
        *(_row("strade", "Centro", who) for who in "abcde"),
        _row("strade", "Pirri", "a"),
        _row("strade", "Pirri", "f"),
        _row("strade", "Is Mirrionis", "g"),
        _row("verde", "Centro", "a"),
    ]

    found = anonymous(rows, 3)

    assert 1 == found.left_out
    groups = Counter(row.group for row in found.rows)
    assert {
        ("2026-01", "pec", "strade", "Centro"): 5,
        ("2026-01", "pec", "strade", HIDDEN): 3,
    } == groups


def test_one_person_with_many_cases_is_one_person():
    """However often they write, they are not shown until others are like them."""
    alone = [_row("strade", "Pirri", "anna")] * 50
    others = [_row("strade", "Pirri", who) for who in ("bea", "carlo")]

    assert 50 == anonymous(alone, 3).left_out
    assert 52 == len(anonymous([*alone, *others], 3).rows)
