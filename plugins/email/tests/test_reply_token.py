"""Signed reply addresses."""

from __future__ import annotations

from uuid import UUID

from gateway_email import reply_token
from hypothesis import given
from hypothesis import strategies as st

KEY = b"0123456789abcdef"
DELIVERY = UUID("0198f2a4-7c1e-7b3a-9d55-0123456789ab")


@given(delivery=st.uuids(), key=st.binary(min_size=1))
def test_token_names_its_delivery(delivery: UUID, key: bytes) -> None:
    """What we signed is read back, also from capital letters."""
    token = reply_token.encode(delivery, key)

    assert len(token) == reply_token.ENCODED_LENGTH
    assert token == token.lower()
    assert delivery == reply_token.decode(token, key)
    assert delivery == reply_token.decode(token.upper(), key)


@given(at=st.integers(min_value=0, max_value=40), sign=st.sampled_from("abcdefgh234"))
def test_altered_token_names_nothing(at: int, sign: str) -> None:
    """One changed sign makes a token worthless."""
    token = reply_token.encode(DELIVERY, KEY)
    altered = token[:at] + sign + token[at + 1 :]

    assert (altered == token) == (reply_token.decode(altered, KEY) == DELIVERY)


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    """Nothing that strangers write raises, and nothing passes."""
    assert reply_token.decode(text, KEY) is None


def test_other_key_refuses() -> None:
    """A token signed by another gateway names nothing here."""
    assert reply_token.decode(reply_token.encode(DELIVERY, b"other"), KEY) is None


def test_address_fits_into_a_local_part() -> None:
    """The plus-part goes before the @, and 64 octets are not exceeded."""
    token = reply_token.encode(DELIVERY, KEY)
    address = reply_token.address("urp@comune.test", token)

    assert f"urp+{token}@comune.test" == address
    assert len(address.partition("@")[0]) <= 64
