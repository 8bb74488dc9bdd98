"""The signature over the raw body."""

from __future__ import annotations

import pytest
from gateway_whatsapp.signature import sign, verify

BODY = b'{"object":"whatsapp_business_account","entry":[]}'
SECRET = b"testappsecret"
SIGNED = "sha256=ae9f8435eb526185100faadf37aa3022fce9a01689082c87618a688db675c96f"


def test_vector():
    """The signature of the published example is the known one."""
    assert SIGNED == sign(BODY, SECRET)


@pytest.mark.parametrize("secrets", [[SECRET], [b"new", SECRET], [SECRET, b"old"]])
def test_any_active_secret_will_do(secrets):
    """While the secret changes, both are good."""
    assert verify(BODY, SIGNED, secrets)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sha256=",
        SIGNED.removeprefix("sha256="),
        SIGNED[:-1],
        SIGNED + "0",
        SIGNED.upper(),
        SIGNED.replace("sha256", "sha1"),
        SIGNED[:-1] + "0",
        SIGNED[:-1] + "\udcff",
        "sha256=è",
        f" {SIGNED}",
    ],
)
def test_anything_else_is_refused(header):
    """Missing, short, long, of other letters: refused, never an error."""
    assert not verify(BODY, header, [SECRET])


def test_changed_body_is_refused():
    """One byte more, another signature."""
    assert not verify(BODY + b" ", SIGNED, [SECRET])


def test_other_secret_is_refused():
    """Only who knows the secret can sign."""
    assert not verify(BODY, SIGNED, [b"another"])
