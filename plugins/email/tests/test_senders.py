"""The quick look at From says what the careful one says."""

from __future__ import annotations

from pathlib import Path

from gateway_email.senders import sender_at_once, sender_of
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parent / "fixtures"
word = st.text("aZ9 .<>@\"',();:-_=?\t\\à", max_size=12).map(str.encode)
plain = st.sampled_from(
    [b"a@b.it", b"<a@b.it>", b"Anna B <a.c@b.it>", b"Anna a@b.it", b"a@b.it>", b"<a@b"]
)
field = st.builds(
    b"".join,
    st.tuples(
        st.sampled_from([b"From: ", b"from:", b"From : ", b"To: ", b"", b" ", b"X"]),
        st.one_of(plain, word),
        st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n "]),
    ),
)


@given(st.lists(field, max_size=4), st.sampled_from([b"\r\n", b"\n", b""]))
def test_both_agree(fields: list[bytes], end: bytes) -> None:
    """Whatever the head is like."""
    raw = b"".join(fields) + end + b"Ciao.\r\nFrom: c@d.it\r\n\r\n"

    assert sender_of(raw) == sender_at_once(raw)


def test_both_agree_on_every_mail_we_have() -> None:
    """The corpus, too."""
    mails = [path.read_bytes() for path in FIXTURES.rglob("*.eml")]
    found = [(sender_of(raw), sender_at_once(raw)) for raw in mails]

    assert len(mails) > 10
    assert [careful for careful, _ in found] == [quick for _, quick in found]
