"""The channel's section: what it takes, and what it never prints."""

from __future__ import annotations

import pytest
from gateway_whatsapp import WhatsAppConfig
from gateway_whatsapp.config import is_safe
from pydantic import ValidationError
from yarl import URL


def test_secrets_never_print(config):
    """Neither token nor secrets show in the section's text."""
    text = repr(config(app_secrets=["segreto-uno", "segreto-due"]))

    assert "the-token" not in text
    assert "segreto" not in text
    assert "parola" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"app_secrets": []},
        {"app_secrets": ["a", "b", "c"]},
        {"app_secrets": [""]},
        {"token": ""},
        {"verify_token": ""},
        {"phone_number_id": "+39 070 000000"},
        {"base_url": "http://graph.facebook.com/v25.0"},
        {"base_url": "graph.facebook.com"},
        {"base_url": "https://user:password@graph.facebook.com/v25.0"},
        {"base_url": "http://[::1"},
        {"base_url": "https://graph.facebook.com"},
        {"base_url": "https://graph.facebook.com/"},
        {"base_url": "https://graph.facebook.com/v25"},
        {"base_url": "https://graph.facebook.com/v25.0?fields=id"},
        {"base_url": "https://graph.facebook.com/v25.0#"},
        {"business_account_id": "my-account"},
        {"media_hosts": ["https://lookaside.fbsbx.com"]},
        {"timeout": 0},
        {"tiemout": 3},
        {"templates": {"answer": {"name": "Risposta"}}},
        {"templates": {"answer": {"name": "r", "language": "italiano"}}},
        {"templates": {"answer": {"name": "r", "parameters": ["{citizen}"]}}},
        {"templates": {"answer": {"name": "r", "parameters": ["{"]}}},
        {"templates": {"greeting": {"name": "r"}}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(config, changes):
    """Each wrong value is told under its own key."""
    with pytest.raises(ValidationError) as caught:
        config(**changes)

    assert set(changes) == {caught.value.errors()[0]["loc"][0]}


def test_base_url_may_end_with_a_slash(config):
    """A slash at the end makes no difference."""
    expected = "https://graph.facebook.com/v26.0"

    assert expected == config(base_url=f"{expected}/").base_url


def test_loopback_may_be_plain_http(config):
    """The simulator needs no certificate."""
    url = "http://127.0.0.1:8089/v25.0"

    assert url == config(base_url=url).base_url


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://lookaside.fbsbx.com/x", True),
        ("http://lookaside.fbsbx.com/x", False),
        ("http://localhost:1/x", True),
        ("ftp://localhost/x", False),
        ("https://a:b@lookaside.fbsbx.com/x", False),
        ("/relative", False),
    ],
)
def test_token_goes_over_tls_only(url, safe):
    """The token leaves this machine under TLS only."""
    assert safe is is_safe(URL(url))


def test_every_field_is_described():
    """The reference is made of the fields' docstrings, so each has one."""
    missing = [n for n, f in WhatsAppConfig.model_fields.items() if not f.description]

    assert [] == missing
