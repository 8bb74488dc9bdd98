"""Whether the account is set up right: what `gateway check` asks Meta, and says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_whatsapp import WhatsAppChannel
from gateway_whatsapp.siblings import Numbers

from gateway.model import HealthStatus

ACCOUNT = "102290129340398"
NUMBER = "1122334455667"
HOOK = "https://urp.example.it/channels/whatsapp/webhook"
RIGHT = {
    "id": NUMBER,
    "verified_name": "Comune di Esempio",
    "display_phone_number": "+39 070 000000",
    "status": "CONNECTED",
    "code_verification_status": "VERIFIED",
    "quality_rating": "GREEN",
    "webhook_configuration": {"application": HOOK},
}
ANSWER = {"name": "risposta", "language": "it", "parameters": ["{number}", "{text}"]}
BODY = {"type": "BODY", "text": "Pratica {{1}}: {{2}}"}


def template(**changes: Any) -> dict[str, Any]:
    """Return a template as Meta lists it."""
    return {
        "name": "risposta",
        "status": "APPROVED",
        "language": "it",
        "components": [BODY],
        **changes,
    }


def number(**changes: Any) -> dict[str, Any]:
    """Return what Meta says of the number; None leaves a field out."""
    merged = {**RIGHT, **changes}
    return {key: value for key, value in merged.items() if value is not None}


@dataclass
class Meta:
    """A Graph API that knows one number and one account."""

    number: Any = field(default_factory=number)
    apps: Any = field(
        default_factory=lambda: {"data": [{"whatsapp_business_api_data": {"id": "1"}}]}
    )
    templates: list[Any] = field(default_factory=lambda: [template()])
    version: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer, and remember what was asked."""
        _, _, path = request.path.removeprefix("/").partition("/")
        self.asked.append((request.method, path, dict(request.query)))
        found = {
            NUMBER: self.number,
            f"{ACCOUNT}/subscribed_apps": self.apps,
            f"{ACCOUNT}/message_templates": {"data": self.templates},
        }.get(path, error(100))
        headers = {"facebook-api-version": self.version} if self.version else {}
        status = 400 if isinstance(found, dict) and "error" in found else 200
        return web.json_response(found, status=status, headers=headers)


def error(code: int) -> dict[str, Any]:
    """Return an error in Meta's shape."""
    return {"error": {"message": "m", "type": "OAuthException", "code": code}}


@pytest.fixture
async def meta():
    """An account that is set up right; its address is ``meta.url``."""
    made = Meta()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/v25.0"))
        yield made


@pytest.fixture
def checked(channel, meta):
    """Check a channel; return status and text."""

    async def check(**changes):
        made = channel(base_url=meta.url, **changes)
        health = await made.check()
        return health.status.value, health.text

    return check


async def test_all_right(checked, meta):
    """All is asked for and nothing is sent."""
    changes = {"business_account_id": ACCOUNT, "templates": {"answer": ANSWER}}

    assert ("ok", "") == await checked(**changes)
    assert {"GET"} == {method for method, _, _ in meta.asked}
    assert [
        NUMBER,
        f"{ACCOUNT}/subscribed_apps",
        f"{ACCOUNT}/message_templates",
    ] == [path for _, path, _ in meta.asked]
    assert "webhook_configuration" in meta.asked[0][2]["fields"]
    assert "risposta" == meta.asked[2][2]["name"]


async def test_what_meta_does_not_say_is_no_mistake(checked, meta):
    """An older version of the API leaves fields out."""
    meta.number = {"id": NUMBER}

    assert ("ok", "") == await checked()


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"status": "PENDING"}, "down", "is PENDING, not CONNECTED: register it"),
        ({"status": "BANNED"}, "down", "is BANNED, not CONNECTED"),
        ({"status": "\x1b[2J"}, "down", "is unreadable, not CONNECTED"),
        ({"status": "FLAGGED"}, "degraded", "its quality is low"),
        ({"code_verification_status": "NOT_VERIFIED"}, "degraded", "enter it"),
        ({"quality_rating": "RED"}, "degraded", "quality is red"),
        ({"status": 3}, "degraded", "can't be read (status: expected text"),
        ({"webhook_configuration": {}}, "degraded", "no webhook is set at Meta"),
        ({"code_verification_status": "EXPIRED"}, "ok", ""),
        ({"quality_rating": "YELLOW"}, "ok", ""),
        ({"quality_rating": "UNKNOWN"}, "ok", ""),
    ],
    ids=str,
)
async def test_number(checked, meta, changes, status, text):
    """Each thing that is wrong with the number is told with what to do."""
    meta.number = number(**changes)
    found, told = await checked()

    assert status == found
    assert text in told


@pytest.mark.parametrize(
    ("hooks", "found"),
    [
        ({"application": HOOK}, ""),
        ({"application": f"{HOOK}?x=1"}, ""),
        ({"application": "https://old.example.it/", "phone_number": HOOK}, ""),
        (
            {"application": HOOK, "whatsapp_business_account": "https://b.example.it/"},
            "(whatsapp_business_account) is https://b.example.it/",
        ),
        (
            {"whatsapp_business_account": HOOK, "phone_number": "https://c/channels/x"},
            "(phone_number) is https://c/channels/x",
        ),
        (
            {"application": "https://d/channels/polizia/webhook"},
            "(application) is https://d/channels/polizia/webhook",
        ),
        ({"application": "http://[::1"}, "(application) is http://[::1"),
    ],
    ids=str,
)
async def test_webhook(checked, meta, hooks, found):
    """The most specific address counts; another one is named with ours."""
    meta.number = number(webhook_configuration=hooks)
    status, text = await checked()

    assert ("degraded" if found else "ok") == status
    assert found in text
    assert not found or "https://<your host>/channels/whatsapp/webhook" in text


@pytest.mark.parametrize(("secret", "status"), [("", "ok"), ("other", "degraded")])
async def test_webhook_of_a_sibling(channel, config, meta, secret, status):
    """The address of another channel will do if it is of the same app."""
    meta.number = number(
        webhook_configuration={"application": "https://d/channels/polizia/webhook"}
    )
    numbers = Numbers()
    context = channel().context
    ours = config(base_url=meta.url)
    made = WhatsAppChannel("whatsapp", ours, context, numbers)
    secrets = [secret] if secret else ["testappsecret", "another"]
    theirs = config(phone_number_id="2", app_secrets=secrets)
    WhatsAppChannel("polizia", theirs, context, numbers)

    assert status == (await made.check()).status.value


@pytest.mark.parametrize(
    ("apps", "status", "text"),
    [
        ({"data": []}, "down", "no app gets this account's webhooks: subscribe yours"),
        (error(200), "degraded", "whatsapp_business_management"),
        (error(100), "degraded", "business_account_id: an id names nothing"),
        ({}, "degraded", "can't be read (data: missing)"),
        ([], "degraded", "what answers at base_url is not Meta"),
    ],
    ids=str,
)
async def test_subscription(checked, meta, apps, status, text):
    """An account whose events nobody gets is told; so is one that can't be seen."""
    meta.apps = apps
    found, told = await checked(business_account_id=ACCOUNT)

    assert status == found
    assert text in told


@pytest.mark.parametrize(
    ("templates", "text"),
    [
        ([], "template risposta (it) is not there"),
        ([template(name="risposta_breve")], "is not there"),
        ([template(language="en")], "is there in: en"),
        ([template(status="PENDING")], "is PENDING: until Meta approves it"),
        ([template(components=[{"type": "BODY", "text": "x {{1}}"}])], "has 1 places"),
        ([template(components=[{"type": "BODY", "text": "Ciao"}])], "has 0 places"),
        ([template(components=[])], "has 0 places"),
        (
            [template(components=[{"type": "HEADER", "format": "IMAGE"}, BODY])],
            "header or buttons",
        ),
        (
            [template(components=[{"type": "HEADER", "text": "N. {{1}}"}, BODY])],
            "header or buttons",
        ),
        (
            [
                template(
                    components=[
                        BODY,
                        {"type": "BUTTONS", "buttons": [{"url": "https://c/{{1}}"}]},
                    ]
                )
            ],
            "header or buttons",
        ),
        (
            [template(components=[{"type": "BODY", "text": "x {{number}} {{text}}"}])],
            "has named places",
        ),
        ([template(status=None)], "can't be read"),
        (
            [
                template(language="en"),
                template(
                    components=[
                        {"type": "HEADER", "format": "TEXT", "text": "Comune"},
                        BODY,
                        {"type": "FOOTER", "text": "URP"},
                    ]
                ),
            ],
            "",
        ),
    ],
    ids=str,
)
async def test_template(checked, meta, templates, text):
    """A template that Meta would refuse is told before a citizen waits for it."""
    meta.templates = templates
    status, told = await checked(
        business_account_id=ACCOUNT, templates={"answer": ANSWER}
    )

    assert ("degraded" if text else "ok") == status
    assert text in told


async def test_template_used_twice_is_asked_for_once(checked, meta):
    """One template may say several things."""
    templates = {"answer": ANSWER, "notice": ANSWER}
    await checked(business_account_id=ACCOUNT, templates=templates)

    assert 3 == len(meta.asked)


@pytest.mark.parametrize(
    ("code", "text"),
    [(190, "set a good one in token"), (100, "phone_number_id: an id names nothing")],
)
async def test_refused(checked, meta, code, text):
    """A token or number that Meta does not know is told; nothing else is asked for."""
    meta.number = error(code)
    status, told = await checked(business_account_id=ACCOUNT)

    assert "down" == status
    assert text in told
    assert 1 == len(meta.asked)


async def test_all_that_is_wrong_is_told_at_once(checked, meta):
    """Whoever mends one thing need not come back for the next."""
    meta.number = number(quality_rating="RED", status="PENDING")
    meta.apps = {"data": []}
    status, told = await checked(business_account_id=ACCOUNT)

    assert "down" == status
    assert 3 == len(told.split("; "))
    assert told.startswith("the number is PENDING")


async def test_somebody_else_answers(checked, meta):
    """Where something answers that is not Meta, base_url is named."""
    meta.number = "<html>"
    status, told = await checked()

    assert "down" == status
    assert "what answers at base_url is not Meta" in told


async def test_another_version_was_served(channel, meta):
    """Once a version has ended, Meta serves another: that shows, also in the daemon."""
    meta.version = "v26.0"
    made = channel(base_url=meta.url)
    checked = await made.check()

    assert HealthStatus.DEGRADED is checked.status
    assert "Meta serves v26.0 of its API instead of v25.0" in checked.text
    assert checked == made.health()


@pytest.mark.parametrize("version", ["v25.0", "\x1b[2J", "v1.0, v2.0"])
async def test_header_that_says_nothing_new(channel, meta, version):
    """The version asked for, and what is no version, change nothing."""
    meta.version = version.encode("ascii", "replace").decode().replace("\x1b", "")
    made = channel(base_url=meta.url)

    assert HealthStatus.OK is (await made.check()).status
