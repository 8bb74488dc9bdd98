"""What our own server says of a sender, and what others only claim."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway_email.authentication import is_authentic
from gateway_email.headers import read_headers
from gateway_email.parse import parse
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import ChannelId, Inbound, InboxId, ItemKind, Original

FILES = Path(__file__).parent / "fixtures" / "authentication"
OURS = "mx.comune.test"
PROVEN = {
    "dkim-aligned",
    "dmarc-none-spf-aligned",
    "dmarc-pass",
    "exchange-online",
    "login",
    "spf-aligned-in-two-fields",
    "unreadable-then-good",
    "upper-case",
}


@pytest.mark.parametrize("path", sorted(FILES.iterdir()), ids=lambda path: path.stem)
def test_only_our_own_server_proves_a_sender(path: Path):
    """DMARC decides; without it SPF, DKIM or a login, all of the sender's domain."""
    server = "exchange-online" if path.stem.startswith("exchange") else OURS
    mail = read_headers(path.read_bytes())
    assert (path.stem in PROVEN) == is_authentic(mail, server)


def test_every_proven_file_is_there():
    """A name that is mistyped here would test nothing."""
    assert PROVEN < {path.stem for path in FILES.iterdir()}


@pytest.mark.parametrize(("server", "authentic"), [(None, None), (OURS, True)])
def test_message_says_whether_its_sender_is_proven(server, authentic):
    """Where no server is named, nobody knows."""
    original = Original(
        id="o",
        channel=ChannelId("posta"),
        body=(FILES / "dmarc-pass.eml").read_bytes(),
        headers={},
        received_at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    inbound = Inbound(
        id=InboxId("i"),
        channel=original.channel,
        external_id="x",
        kind=ItemKind.MESSAGE,
        part="",
        sender="",
        original=original,
    )
    message = parse(inbound, key=b"k" * 16, domain="comune.test", authserv_id=server)
    assert authentic is message.authentic
    assert "R: [URP-2026-000001]" == message.subject


@given(st.text(max_size=200))
def test_any_text_in_the_field_proves_nothing(text: str):
    """What can't be read is no proof, and no error."""
    field = f"Authentication-Results: mx.comune.test; {text}".encode()
    sender = b"From: a@comune.test"
    mail = read_headers(b"\n".join([b" ".join(field.split()), sender, b"", b""]))
    assert not is_authentic(mail, "mx.altrove.test")
    is_authentic(mail, OURS)
