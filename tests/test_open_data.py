"""Nobody can be recognised in open data."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.open_data import HIDDEN, Row, anonymous

ROWS = st.lists(
    st.builds(
        Row,
        month=st.sampled_from(["2026-01", "2026-02"]),
        channel=st.sampled_from(["whatsapp", "pec"]),
        service=st.sampled_from(["strade", "verde", "urp"]),
        district=st.sampled_from(["Centro", "Pirri", ""]),
        state=st.just("closed"),
        days_to_answer=st.just("0-1"),
        days_to_close=st.just("3-7"),
    ),
    max_size=60,
)


@given(ROWS, st.integers(3, 10))
def test_nobody_is_one_of_few(rows, least):
    """Each combination is there often enough; nothing is made up or lost uncounted."""
    found = anonymous(rows, least)

    sizes = Counter(row.group for row in found.rows)
    assert all(size >= least for size in sizes.values())
    assert len(rows) == len(found.rows) + found.left_out
    assert list(found.rows) == sorted(found.rows)
    months = Counter(row.month for row in rows)
    assert Counter(row.month for row in found.rows) <= months


def _row(service: str, district: str) -> Row:
    return Row("2026-01", "pec", service, district, "closed", "0-1", "1-3")


def test_hidden_step_by_step():
    """First the district, and only where it is rare; what stays rare is left out."""
    rows = [
        *[_row("strade", "Centro")] * 5,
        *(_row("strade", each) for each in ("Pirri", "Pirri", "Is Mirrionis")),
        _row("verde", "Centro"),
    ]

    found = anonymous(rows, 3)

    assert 1 == found.left_out
    groups = Counter(row.group for row in found.rows)
    assert {
        ("2026-01", "pec", "strade", "Centro"): 5,
        ("2026-01", "pec", "strade", HIDDEN): 3,
    } == groups
