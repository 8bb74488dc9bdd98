"""Foreign JSON, as it comes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PayloadError
from gateway.payload import Payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_json_is_read(value):
    """Whatever it holds."""
    assert value == Payload.from_json(json.dumps(value).encode()).value


def test_half_a_character():
    """It is replaced where it stands; all else, whole emoji too, stays as it is."""
    body = rb"""{"a": "x\ud83dy", "b": ["\ud83d\ude00", "\udc00"], "\ud800": 1}"""

    assert {"a": "x\ufffdy", "b": ["\N{GRINNING FACE}", "\ufffd"], "\ufffd": 1} == (
        Payload.from_json(body).value
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": NaN}', b"[Infinity]", b"\xff", b"[" * 100_000, b"1" * 5_000],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json(body):
    """It is refused by name, never by a crash."""
    with pytest.raises(PayloadError, match="not JSON"):
        Payload.from_json(body)
