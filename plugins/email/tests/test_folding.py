"""A subject comes out as it went in, however long and accented."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from gateway_email.folding import POLICY
from hypothesis import example, given
from hypothesis import strategies as st

WORDS = [
    "è",
    "già",
    "perché",
    "buca",
    "via",
    "[URP-2026-000123]",
    "—",
    "così",
    "ùùùù",
]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join))
@example(" ".join(["[URP-2026-000123]"] * 4))
@example("[URP-2026-000123] Nuova segnalazione — Perché è già così però più giù")
def test_no_space_is_lost(subject: str):
    """Wherever its lines end."""
    mail = EmailMessage(policy=POLICY)
    mail["Subject"] = subject
    raw = mail.as_bytes()

    assert raw.isascii()
    assert max(map(len, raw.splitlines())) <= 78
    read = BytesParser(policy=policy.default).parsebytes(raw)
    assert subject == read["Subject"]
