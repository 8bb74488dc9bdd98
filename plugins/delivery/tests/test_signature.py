"""Our signatures are those of the reference library, and only good ones are let in."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from gateway_delivery import signature
from gateway_delivery.signature import ID, SIGNATURE, TIMESTAMP, Refused
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 64).decode()
NOW = datetime(2026, 11, 26, 12, 0, 0, 500_000, tzinfo=UTC)


def test_published_example():
    """The example of the specification's libraries."""
    at = datetime.fromtimestamp(1614265330, UTC)
    made = signature.sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        at,
        b'{"test": 2432232314}',
        ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )

    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == made


@given(st.text(max_size=200), st.binary(min_size=24, max_size=64))
def test_reference_library_takes_ours(text, key):
    """Whatever is said, by either of two secrets while one replaces the other."""
    secret = "whsec_" + base64.b64encode(key).decode()
    body = text.encode("utf-8", "replace")
    made = signature.headers("d1", datetime.now(UTC), body, [NEW, secret])

    Webhook(secret).verify(body, made, json_parse=False)
    Webhook(NEW).verify(body, made, json_parse=False)


@given(st.text(max_size=200).filter(lambda t: t.isprintable()))
def test_we_take_the_reference_librarys(text):
    """What it signs now, we let in, also with the older of two secrets."""
    signed = Webhook(OLD).sign("d1", NOW, text)
    given = {ID: "d1", TIMESTAMP: str(int(NOW.timestamp())), SIGNATURE: signed}

    assert "d1" == signature.verify(given, text.encode(), [NEW, OLD], NOW)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({ID: ""}, "webhook-id"),
        ({ID: "d" * 257}, "webhook-id"),
        ({ID: "d2"}, "webhook-signature"),
        ({TIMESTAMP: ""}, "webhook-timestamp"),
        ({TIMESTAMP: "soon"}, "webhook-timestamp"),
        ({TIMESTAMP: "9" * 13}, "webhook-timestamp"),
        ({TIMESTAMP: "1"}, "webhook-signature"),
        ({SIGNATURE: ""}, "webhook-signature"),
        ({SIGNATURE: "v1"}, "webhook-signature"),
        ({SIGNATURE: "v1a,AAAA"}, "webhook-signature"),
        ({SIGNATURE: "v1,\udce8"}, "webhook-signature"),
    ],
)
def test_what_nobody_signed_is_refused(change, says):
    """Each header that is missing, broken or of something else; the text says which."""
    good = signature.headers("d1", NOW, b"{}", [OLD])
    with pytest.raises(Refused, match=says):
        signature.verify(good | change, b"{}", [OLD], NOW)


def test_another_body_or_secret_is_refused():
    """A signature is good for one body, by one who knows."""
    good = signature.headers("d1", NOW, b"{}", [OLD])

    for body, secrets in ((b"{ }", [OLD]), (b"{}", [NEW]), (b"{}", [])):
        with pytest.raises(Refused):
            signature.verify(good, body, secrets, NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_of_long_ago_or_of_the_future_is_refused(seconds):
    """Five minutes are allowed for, on either side."""
    good = signature.headers("d1", NOW, b"{}", [OLD])

    within = timedelta(seconds=299 if seconds > 0 else -299)
    assert "d1" == signature.verify(good, b"{}", [OLD], NOW + within)
    with pytest.raises(Refused, match="clock"):
        signature.verify(good, b"{}", [OLD], NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_è", "§§§"])
def test_what_is_no_secret_is_told(secret):
    """A secret is 24 to 64 octets in base64."""
    with pytest.raises(ValueError, match="whsec_"):
        signature.key_of(secret)
