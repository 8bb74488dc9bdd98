"""The health of the number at Meta, and what the log says of it."""

from __future__ import annotations

import pytest
import structlog
from gateway_whatsapp.account import Account
from gateway_whatsapp.errors import Refusal
from structlog.testing import capture_logs

OK, DEGRADED, DOWN = "ok", "degraded", "down"
TOKEN, BUSY, CONTACT, PAYMENT = 190, 131016, 131026, "131042"


def refused(code: int):
    """Let Meta refuse a request."""
    return lambda account: account.refused(Refusal(status=400, code=code))


def told(code: str):
    """Let a status say something; "" is success."""
    return lambda account: account.told(code)


def answered(account):
    account.answered()


def unreachable(account):
    account.unreachable(TimeoutError())


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ([], OK),
        ([answered], OK),
        ([unreachable], DEGRADED),
        ([refused(BUSY)], DEGRADED),
        ([refused(CONTACT)], OK),
        ([refused(TOKEN)], DOWN),
        ([refused(TOKEN), unreachable], DEGRADED),
        ([refused(TOKEN), answered], OK),
        ([told(PAYMENT)], DOWN),
        ([told(PAYMENT), answered], DOWN),
        ([told(PAYMENT), told("131026")], DOWN),
        ([told(PAYMENT), told("")], OK),
        ([told("unknown")], OK),
    ],
)
def test_health(story, expected):
    """Whom it concerns, and until when; what statuses say outlasts an answer."""
    account = Account("whatsapp", structlog.get_logger())
    for happened in story:
        happened(account)

    assert expected == account.health.status.value


def test_log_says_it_once():
    """Down, with what to do, and up: whatever comes in between."""
    with capture_logs() as logs:
        account = Account("whatsapp", structlog.get_logger())
        for happened in (refused(TOKEN), refused(TOKEN), told(PAYMENT), answered):
            happened(account)
        told("")(account)

    assert [("error", "account_down"), ("info", "account_up")] == [
        (log["log_level"], log["event"]) for log in logs
    ]
    assert "set a good one in token" in logs[0]["reason"]
