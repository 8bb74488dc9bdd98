"""Mutated mail: whatever comes, a message, a receipt or `PayloadError`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_email.enclosed import part_content
from gateway_email.reading import read_stored
from gateway_email.senders import sender_of
from gateway_email.tasks import Ours
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import PayloadError
from gateway.model import Inbound, Message

OURS = Ours(
    key=b"0123456789abcdef", domain="comune.test", addresses=("urp@comune.test",)
)
OCTETS = 20_000
CORPUS = [
    raw
    for path in sorted((Path(__file__).parent / "fixtures").rglob("*.eml"))
    if len(raw := path.read_bytes()) <= OCTETS
]
TOKENS = [
    b"\r\n",
    b"\n\n",
    b"\x00",
    b"--",
    b"=?utf-8?b?",
    b"?=",
    b"=",
    b";",
    b'"',
    b"<",
    b"(" * 50,
    b"\xed\xa0\x80",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"charset=utf-16;",
    b"name*0*=utf-8''%;",
]


@st.composite
def mutated(draw: Any) -> bytes:
    """Draw a stored mail with some of its octets cut, replaced or doubled."""
    raw = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(raw)))
        to = draw(st.integers(at, min(len(raw), at + 200)))
        junk = draw(st.sampled_from(TOKENS) | st.binary(max_size=40))
        kept = draw(st.sampled_from([raw[at:to], b""]))
        raw = raw[:at] + junk + kept + raw[to:]
    return raw


@pytest.fixture(scope="module")
def read() -> Callable[[bytes, Inbound], None]:
    """Read a mail and take out its files, or let it be refused."""

    def run(raw: bytes, item: Inbound) -> None:
        sender_of(raw)
        try:
            found = read_stored(item, OURS)
        except PayloadError:
            return
        for each in found.attachments if isinstance(found, Message) else ():
            assert each.size == len(part_content(raw, each.locator))

    return run


# The fixtures are functions without state.
CALM = settings(
    max_examples=300,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
        HealthCheck.too_slow,
    ],
)


@CALM
@given(raw=mutated())
def test_mutated_mail_is_read_or_refused(
    raw: bytes,
    read: Callable[[bytes, Inbound], None],
    inbound: Callable[[bytes], Inbound],
) -> None:
    """Nothing else is raised, and each file that is told of is there."""
    read(raw, inbound(raw))


@CALM
@given(head=st.binary(max_size=300), body=st.binary(max_size=1_000))
def test_any_octets_are_read_or_refused(
    head: bytes,
    body: bytes,
    read: Callable[[bytes, Inbound], None],
    inbound: Callable[[bytes], Inbound],
) -> None:
    """Nor for what is no mail at all."""
    raw = b"From: a@example.it\r\n" + head + b"\r\n\r\n" + body
    read(raw, inbound(raw))
