"""Whether the account at Meta is set up right: number, webhook, templates.

Sources: Meta, *Business phone numbers*, *Webhook overrides* (the number's address comes
before the account's, and that before the app's), *Template management*.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from urllib.parse import urlsplit

from gateway.errors import PayloadError
from gateway.model import ChannelId, Health, HealthStatus
from gateway.payload import Payload
from gateway_whatsapp.account import down
from gateway_whatsapp.client import CloudApi
from gateway_whatsapp.config import Template, WhatsAppConfig

_NUMBER = (
    "verified_name,display_phone_number,status,code_verification_status,"
    "quality_rating,webhook_configuration"
)
_TEMPLATE = "name,status,language,components"
_MOST_SPECIFIC_FIRST = ("phone_number", "whatsapp_business_account", "application")
_LIMITED = {
    "FLAGGED": "its quality is low, see WhatsApp Manager before Meta limits it",
    "RATE_LIMITED": "it has sent what it may, see its limit in WhatsApp Manager",
    "RESTRICTED": "Meta restricts it, see its quality in WhatsApp Manager",
}
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LONGEST = 200


async def check(
    api: CloudApi, config: WhatsAppConfig, channels: Collection[ChannelId]
) -> Health:
    """Ask Meta for all that can be wrong; send nothing.

    ``channels`` are those whose address will do for the webhook: ours comes first.
    """
    number = await api.ask("phone_number_id", fields=_NUMBER)
    if isinstance(number, Health):
        return number
    findings = list(_readable(judge_number(number, channels)))
    if config.business_account_id is not None:
        findings += [found async for found in _account(api, config)]
    return worst(findings)


def worst(findings: Iterable[Health]) -> Health:
    """Return all that was found as one: the worst status, and why."""
    order = (HealthStatus.DOWN, HealthStatus.DEGRADED, HealthStatus.OK)
    found = sorted(findings, key=lambda each: order.index(each.status))
    wrong = [each for each in found if each.status is not HealthStatus.OK]
    if not wrong:
        return next(iter(found), Health(status=HealthStatus.OK))
    return Health(status=wrong[0].status, text="; ".join(each.text for each in wrong))


def _readable(findings: Iterator[Health]) -> Iterator[Health]:
    """Pass findings on; an answer of another shape is one more."""
    try:
        yield from findings
    except PayloadError as error:
        yield _degraded(f"an answer of Meta's can't be read ({error})")


def judge_number(number: Payload, channels: Collection[ChannelId]) -> Iterator[Health]:
    """Tell what is wrong with the number; what Meta does not say is no mistake."""
    status = number.text_or("status", "CONNECTED")
    if status in _LIMITED:
        yield _degraded(f"the number is {status}: {_LIMITED[status]}")
    elif status != "CONNECTED":
        text = "register it (README, Setting it up at Meta), or see WhatsApp Manager"
        yield down(f"the number is {_shown(status)}, not CONNECTED: {text}")
    # A code that has EXPIRED after it was entered hinders nothing.
    if number.text_or("code_verification_status") == "NOT_VERIFIED":
        text = "have the code sent in WhatsApp Manager and enter it"
        yield _degraded(f"the number is not verified: {text}")
    if number.text_or("quality_rating") == "RED":
        text = "citizens block or report it, see its messages in WhatsApp Manager"
        yield _degraded(f"the number's quality is red: {text}")
    if number.has("webhook_configuration"):
        yield from _judge_webhook(number.get("webhook_configuration"), channels)


def _judge_webhook(hooks: Payload, channels: Collection[ChannelId]) -> Iterator[Health]:
    """Tell whether the address that Meta uses is one of ours."""
    paths = [f"/channels/{channel}/webhook" for channel in channels]
    found = [hooks.text_or(level) for level in _MOST_SPECIFIC_FIRST]
    used = next(filter(None, found), "")
    wanted = f"register https://<your host>{paths[0]}"
    if not used:
        yield _degraded(f"no webhook is set at Meta: {wanted}")
    elif not any(_path(used).endswith(path) for path in paths):
        level = _MOST_SPECIFIC_FIRST[found.index(used)]
        yield _degraded(f"Meta's webhook ({level}) is {_shown(used)}: {wanted}")


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


async def _account(api: CloudApi, config: WhatsAppConfig) -> AsyncIterator[Health]:
    """Tell what is wrong with the account: who gets its events, and its templates."""
    apps = await api.ask("business_account_id", "/subscribed_apps")
    if isinstance(apps, Health):
        text = f"{apps.text} (the token needs whatsapp_business_management for this)"
        yield _degraded(text)
        return
    for found in _readable(judge_apps(apps)):
        yield found
    for template in _distinct(config):
        known = await api.ask(
            "business_account_id",
            "/message_templates",
            name=template.name,
            fields=_TEMPLATE,
            limit="100",
        )
        if isinstance(known, Health):
            yield _degraded(f"template {template.name}: {known.text}")
            return
        for found in _readable(judge_template(known, template)):
            yield found


def judge_apps(apps: Payload) -> Iterator[Health]:
    """Tell whether any app gets the account's events."""
    if not apps.items("data"):
        text = "subscribe yours (README, Setting it up at Meta)"
        yield down(f"no app gets this account's webhooks: {text}")


def _distinct(config: WhatsAppConfig) -> list[Template]:
    """Return each configured template once."""
    given = [
        getattr(config.templates, name) for name in type(config.templates).model_fields
    ]
    return list(dict.fromkeys(each for each in given if each is not None))


def judge_template(known: Payload, template: Template) -> Iterator[Health]:
    """Tell whether a template is there, approved, and takes what we put into it."""
    name = f"template {template.name} ({template.language})"
    # Meta also returns those whose name only begins so.
    same = [x for x in known.items("data") if x.text("name") == template.name]
    there = [x for x in same if x.text("language") == template.language]
    if not there:
        others = ", ".join(sorted({x.text("language")[:10] for x in same}))
        text = f"there in: {others}" if others else "not there"
        yield _degraded(
            f"{name} is {text}: create it in WhatsApp Manager, or mend its key"
        )
        return
    status = there[0].text("status")
    if status != "APPROVED":
        text = "until Meta approves it, nothing is sent after 24 hours"
        yield _degraded(f"{name} is {_shown(status)}: {text}")
    yield from _judge_places(there[0], template, name)


def _judge_places(there: Payload, template: Template, name: str) -> Iterator[Health]:
    places: set[str] = set()
    others = False
    for component in there.items_or_none("components"):
        if component.text("type").upper() == "BODY":
            places.update(_PLACE.findall(component.text_or("text")))
        else:
            others |= _needs_more(component)
    given, there_are = len(template.parameters), len(places)
    if there_are != given:
        text = f"parameters gives {given}: make it {there_are}"
        yield _degraded(f"{name} has {there_are} places, {text}")
    if others:
        text = "and only those of its body are filled: use one without"
        yield _degraded(f"{name} has places in header or buttons, {text}")
    if not all(map(str.isdecimal, places)):
        yield _degraded(f"{name} has named places: use one with {{{{1}}}}, {{{{2}}}} …")


def _needs_more(component: Payload) -> bool:
    """Tell whether a header or a button has to be filled, too."""
    medium = component.text_or("format", "TEXT").upper() != "TEXT"
    texts = [component.text_or("text")]
    texts += [each.text_or("url") for each in component.items_or_none("buttons")]
    return medium or any(map(_PLACE.search, texts))


def _shown(text: str) -> str:
    """Return what Meta says so that it can stand in a line."""
    return text[:_LONGEST] if text.isprintable() else "unreadable"


def _degraded(text: str) -> Health:
    return Health(status=HealthStatus.DEGRADED, text=text)
