"""The sections of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_email import EmailChannelConfig, EmailConnectorConfig, EmailSettings
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("sender", "URP <urp@comune.test>", "not an address"),
        ("sender", "urp", "not an address"),
        ("sender", "", "not an address"),
        ("reply_to", f"{'u' * 22}@comune.test", "21 characters at most"),
        ("domain", "comune .test", "pattern"),
        ("domain", "comune.test ", "pattern"),
        ("domain", "", "pattern"),
        ("domain", "urp@comune.test", "pattern"),
        ("key", "short", "at least 16"),
        ("security", "ssl", "'tls', 'starttls' or 'none'"),
        ("port", 0, "greater than or equal to 1"),
        ("colour", "red", "Extra inputs"),
    ],
)
def test_wrong_settings_name_the_fix(
    settings: Callable[..., EmailSettings], field: str, value: Any, complaint: str
) -> None:
    """Each wrong value is refused with a text that says what is allowed."""
    with pytest.raises(ValidationError, match=complaint):
        settings(**{field: value})


def test_bare_password_stays_on_this_machine(
    settings: Callable[..., EmailSettings],
) -> None:
    """Without TLS a password goes to a local server only."""
    with pytest.raises(ValidationError, match="a password needs TLS"):
        settings(host="mail.comune.test", password="segreta")

    assert settings(host="localhost", password="segreta").password


def test_imap_password_needs_tls_too() -> None:
    """The same holds for the mailbox."""
    section = {"username": "urp", "password": "segreta", "security": "none"}
    with pytest.raises(ValidationError, match="a password needs TLS"):
        EmailChannelConfig.model_validate({"host": "mail.comune.test", **section})


def test_secrets_do_not_print(settings: Callable[..., EmailSettings]) -> None:
    """Neither password nor key is in the section's text."""
    text = repr(settings(password="segretissima"))

    assert "segretissima" not in text
    assert "0123456789abcdef" not in text


def test_office_needs_an_address() -> None:
    """A connector without addresses is refused."""
    with pytest.raises(ValidationError, match="at least 1 item"):
        EmailConnectorConfig.model_validate({"to": []})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"folders": []}, "at least 1"),
        ({"folders": ["INBOX", "INBOX"]}, "each folder once"),
        ({"folders": ["INBOX", "inbox"]}, "each folder once"),
        ({"folders": ["IN\r\nBOX"]}, "pattern"),
        ({"folders": ["INBOX", "Fatto"], "done_folder": "Fatto"}, "must not be one of"),
        ({"folder": "INBOX"}, "Extra inputs"),
    ],
)
def test_wrong_folders_name_the_fix(changes: dict[str, Any], complaint: str) -> None:
    """Each is a mistake that would lose mail or do nothing."""
    section = {"host": "localhost", "username": "urp", "password": "segreta"}
    with pytest.raises(ValidationError, match=complaint):
        EmailChannelConfig.model_validate({**section, **changes})
