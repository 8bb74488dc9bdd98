"""`gateway check` against the simulated account, from wrong to right."""

from __future__ import annotations

import pytest
from gateway_whatsapp.simulator import CloudApiSimulator

ACCOUNT = "102290129340398"
NUMBER = "1122334455667"
ANSWER = {"name": "risposta", "language": "it", "parameters": ["{number}", "{text}"]}


@pytest.fixture
async def account():
    """An account with one template."""
    async with CloudApiSimulator(
        app_secret="testappsecret",
        token="the-token",
        phone_number_id=NUMBER,
        business_account_id=ACCOUNT,
        templates={("risposta", "it"): 2},
    ) as sim:
        yield sim


@pytest.fixture
def checked(channel, account):
    """Check a channel of that account; return status and text."""

    async def check(**changes) -> tuple[str, str]:
        made = channel(
            base_url=account.base_url,
            business_account_id=ACCOUNT,
            templates={"answer": ANSWER},
            **changes,
        )
        health = await made.check()
        return health.status.value, health.text

    return check


async def test_from_wrong_to_right(account, checked, serve, channel):
    """Each step of the set-up that was done is one complaint less."""
    account.webhook_url = "https://old.example.it/hook"
    account.number.update(status="PENDING", code_verification_status="NOT_VERIFIED")
    first, text = await checked()
    account.number.update(status="CONNECTED", code_verification_status="VERIFIED")
    second, missing = await checked()
    account.webhook_url = await serve(channel())

    assert ("down", 3) == (first, len(text.split("; ")))
    assert "degraded" == second
    assert missing.startswith(
        "Meta's webhook (application) is https://old.example.it/hook: register"
    )
    assert ("ok", "") == await checked()


async def test_number_of_another_account(account, checked):
    """A number that is not the account's is told as such."""
    account.webhook_url = "https://urp.example.it/channels/whatsapp/webhook"
    status, text = await checked(phone_number_id="999")

    assert "down" == status
    assert "phone_number_id" in text


async def test_version_that_has_ended(account, checked):
    """What Meta serves instead of an ended version is told."""
    account.webhook_url = "https://urp.example.it/channels/whatsapp/webhook"
    account.served_version = "v26.0"
    status, text = await checked()

    assert "degraded" == status
    assert "Meta serves v26.0 of its API" in text
