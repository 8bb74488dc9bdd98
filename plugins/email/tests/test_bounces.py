"""Stored reports and automatic mail of common servers, and what is read from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_email import EmailChannel
from gateway_email.bounces import read_receipt

from gateway.model import Inbound, Message, Receipt

DELIVERY = "0198f2a4-7c1e-7b3a-9d55-0123456789ab"
FIXTURES = Path(__file__).parent / "fixtures"
REPORTS = {
    "amavis_banned": ("failed", "5.7.1"),
    "aruba_failed": ("failed", "5.1.1"),
    "aruba_full_text": ("failed", "5.2.2"),
    "base64_status": ("failed", "5.4.4"),
    "domino_delivered": ("delivered", "2.0.0"),
    "domino_failed": ("failed", "5.1.1"),
    "envelope_id_only": ("failed", "5.1.1"),
    "exchange_2003": ("failed", "5.1.1"),
    "exchange_2010": ("failed", "5.1.1"),
    "exchange_55_text": ("failed", "5.0.0"),
    "exim_delayed": ("sent", ""),
    "exim_failed": ("failed", "5.1.1"),
    "exim_old_text": ("failed", "5.1.1"),
    "gmail_blocked": ("failed", "5.7.26"),
    "gmail_delayed": ("sent", "4.4.1"),
    "gmail_failed": ("failed", "5.1.1"),
    "gmail_old_text": ("failed", "5.2.1"),
    "gmx_text": ("failed", "5.7.1"),
    "libero_delayed_text": ("sent", "4.2.2"),
    "libero_failed": ("failed", "5.1.1"),
    "libero_full_text": ("failed", "5.2.2"),
    "no_action": ("failed", "5.3.4"),
    "o365_delayed": ("sent", "4.4.7"),
    "o365_not_found": ("failed", "5.1.10"),
    "o365_quota": ("failed", "5.2.2"),
    "postfix_delayed": ("sent", "4.4.1"),
    "postfix_delivered": ("delivered", "2.0.0"),
    "postfix_expired": ("failed", "4.4.1"),
    "postfix_failed": ("failed", "5.1.1"),
    "postfix_full_message": ("failed", "5.7.1"),
    "postfix_relayed": ("sent", "2.0.0"),
    "postfix_smtputf8": ("failed", "5.1.1"),
    "postfix_two_recipients": ("failed", "5.2.2"),
    "qmail_expired": ("failed", "4.4.1"),
    "qmail_failed": ("failed", "5.1.1"),
    "sendmail_8_7_broken": ("failed", "5.4.6"),
    "sendmail_failed": ("failed", "5.1.1"),
    "sendmail_warning": ("sent", "4.4.1"),
    "ses_rewritten_id": ("failed", "5.1.1"),
    "sun_ims": ("failed", "5.0.0"),
    "yahoo_text": ("failed", "5.0.0"),
}
"""All of them about the one delivery."""

UNMATCHED = {
    "unmatched_abuse_report": True,
    "unmatched_foreign": True,
    "unmatched_forged_token": True,
    "unmatched_lookalike_domain": True,
    "unmatched_number_only": True,
    "unmatched_person_quotes_bounce": False,
    "unmatched_read_receipt": True,
    "unmatched_two_of_ours": True,
    "unmatched_unclear": True,
}
"""No proof, no receipt: the message is automatic, unless a person wrote it."""

AUTOMATIC = {
    "aruba_responder": True,
    "cpanel_responder": True,
    "cron": True,
    "do_not_answer": True,
    "domino_out_of_office": True,
    "dovecot_sieve": True,
    "exchange_only_suppress": True,
    "gmail_vacation": True,
    "human_car": False,
    "human_receipts_suppressed": False,
    "human_reply": False,
    "human_submitted_no": False,
    "libero_responder": True,
    "list_owner": True,
    "list_path": True,
    "mailing_list": True,
    "no_reply": True,
    "notified": True,
    "o365_out_of_office": True,
    "outlook_2007": True,
    "own_address": True,
    "qmail_double_bounce": True,
    "ticket_system": True,
    "unix_vacation": True,
    "zimbra_vacation": True,
}

Read = Callable[[str], Message | Receipt]


@pytest.fixture
async def read(
    channel: Callable[..., EmailChannel], inbound: Callable[[bytes], Inbound]
) -> Read:
    """Let the channel read a stored mail."""
    posta = channel()
    return lambda name: posta.parse(inbound((FIXTURES / name).read_bytes()))


@pytest.mark.parametrize("name", REPORTS)
def test_report_becomes_a_receipt(read: Read, name: str) -> None:
    """Status and code are the server's; the text names nobody's address."""
    receipt = read(f"bounces/{name}.eml")

    assert isinstance(receipt, Receipt)
    assert REPORTS[name] == (receipt.status.value, receipt.code)
    assert DELIVERY == receipt.delivery_id
    assert not receipt.external_id
    assert not receipt.retryable
    assert receipt.text
    assert "@" not in receipt.text


@pytest.mark.parametrize("name", UNMATCHED)
def test_report_without_proof_is_a_message_for_staff(read: Read, name: str) -> None:
    """What names no delivery of ours beyond doubt fails none."""
    message = read(f"bounces/{name}.eml")

    assert isinstance(message, Message)
    assert UNMATCHED[name] is message.automatic


@pytest.mark.parametrize("name", AUTOMATIC)
def test_machines_are_told_from_people(read: Read, name: str) -> None:
    """Marks of common servers count; look-alikes in people's mail don't."""
    message = read(f"automatic/{name}.eml")

    assert isinstance(message, Message)
    assert AUTOMATIC[name] is message.automatic


@pytest.mark.parametrize(
    ("folder", "named"),
    [("bounces", [*REPORTS, *UNMATCHED]), ("automatic", [*AUTOMATIC])],
)
def test_every_stored_mail_has_its_reading(folder: str, named: list[str]) -> None:
    """No file without a line in the tables, no line without a file."""
    assert sorted(named) == sorted(f.stem for f in (FIXTURES / folder).glob("*.eml"))


def test_another_key_proves_nothing(
    inbound: Callable[[bytes], Inbound],
) -> None:
    """A token is ours only if our own key signed it."""
    raw = (FIXTURES / "bounces" / "envelope_id_only.eml").read_bytes()

    assert read_receipt(inbound(raw), key=b"another key here", domain="x.test") is None


@pytest.mark.parametrize("cut", range(0, 2400, 97))
def test_cut_report_gives_a_receipt_or_none(
    inbound: Callable[[bytes], Inbound], cut: int
) -> None:
    """A report that ends anywhere raises nothing."""
    raw = (FIXTURES / "bounces" / "postfix_failed.eml").read_bytes()[:cut]
    read_receipt(inbound(raw), key=b"0123456789abcdef", domain="comune.test")
