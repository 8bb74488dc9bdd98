"""The account: its numbers, templates and subscriptions, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway_whatsapp.simulator.contents import Template
from gateway_whatsapp.simulator.faults import GraphError
from gateway_whatsapp.simulator.strict import PARAMETER

_NOTHING_THERE = (PARAMETER, 33)
_NO_TEMPLATE, _OTHER_PARAMETERS, _PAUSED, _DISABLED = 132001, 132000, 132015, 132016
_UNSENDABLE = {"PAUSED": _PAUSED, "DISABLED": _DISABLED}
_DEFAULT_FIELDS = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
)
_EMPTY = frozenset(
    {
        "account_mode",
        "certificate",
        "conversational_automation",
        "country_code",
        "country_dial_code",
        "eligibility_for_api_business_global_search",
        "health_status",
        "is_official_business_account",
        "is_on_biz_app",
        "is_pin_enabled",
        "is_preverified_number",
        "last_onboarded_time",
        "messaging_limit_tier",
        "new_certificate",
        "new_name_status",
        "quality_score",
        "search_visibility",
        "username",
        "whatsapp_business_manager_messaging_limit",
    }
)
"""Fields that there are, and that say nothing of our numbers: Meta leaves them out."""
_TEMPLATE_FIELDS = ("name", "status", "language", "components")
_PAGE = 25


@dataclass(slots=True, kw_only=True)
class Approval:
    """A template as Meta keeps it."""

    parameters: int
    status: str = "APPROVED"
    text: str = ""

    def shown(self, name: str, language: str, number: int) -> dict[str, Any]:
        """Return all that can be asked of it."""
        places = " ".join(f"{{{{{each}}}}}" for each in range(1, self.parameters + 1))
        body = {"type": "BODY", "text": self.text or f"Comune: {places}".rstrip(" :")}
        return {
            "name": name,
            "status": self.status,
            "language": language,
            "category": "UTILITY",
            "parameter_format": "POSITIONAL",
            "components": [body],
            "id": str(594425479261596 + number),
        }


def new_number(display: str = "15550783881") -> dict[str, Any]:
    """Return what a number in good order says of itself."""
    return {
        "verified_name": "Simulator",
        "display_phone_number": display,
        "quality_rating": "GREEN",
        "status": "CONNECTED",
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "name_status": "APPROVED",
    }


@dataclass(slots=True, kw_only=True)
class Account:
    """What the city has at Meta; a test changes it at will."""

    id: str
    numbers: dict[str, dict[str, Any]]
    templates: dict[tuple[str, str], Approval] | None = None
    """The templates by name and language; None: all there could be are approved."""
    subscribed_apps: list[dict[str, str]] = field(
        default_factory=lambda: [
            {
                "id": "670843887433847",
                "name": "Simulator",
                "link": "https://www.facebook.com/games/?app_id=670843887433847",
            }
        ]
    )
    webhook_url: str | None = None

    def require_number(self, found: str) -> None:
        """Refuse an id that names no number of ours.

        Raises:
            GraphError: as Meta refuses it.

        """
        if found not in self.numbers:
            raise nothing(found)

    def show_number(self, number: str, fields: str | None) -> dict[str, Any]:
        """Return the fields asked for, and the id.

        Raises:
            GraphError: there is no such field.

        """
        url = self.webhook_url
        webhook = {"webhook_configuration": {"application": url}} if url else {}
        known = {**webhook, **self.numbers[number]}
        return {**_chosen(known, fields, _DEFAULT_FIELDS), "id": number}

    def show_subscriptions(self) -> dict[str, Any]:
        """Return which apps get our webhooks."""
        apps = [{"whatsapp_business_api_data": app} for app in self.subscribed_apps]
        return {"data": apps}

    def show_templates(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the templates, by name if one is asked for.

        Raises:
            GraphError: there is no such field.

        """
        shown = [
            approval.shown(name, language, number)
            for number, ((name, language), approval) in enumerate(
                (self.templates or {}).items()
            )
            if query.get("name", "") in name
        ]
        fields = query.get("fields")
        return page(
            [
                {**_chosen(each, fields, _TEMPLATE_FIELDS), "id": each["id"]}
                for each in shown
            ],
            query,
        )

    def require_template(self, template: Template) -> None:
        """Refuse what is not approved, if it is known what is.

        Raises:
            GraphError: as Meta refuses it.

        """
        if self.templates is None:
            return
        approval = self.templates.get((template.name, template.language.code))
        status = approval.status if approval else ""
        if approval is None or status not in {"APPROVED", *_UNSENDABLE}:
            raise GraphError(_NO_TEMPLATE, f"{template.name}: not in this language")
        if status in _UNSENDABLE:
            raise GraphError(_UNSENDABLE[status], f"{template.name}: {status.lower()}")
        if approval.parameters != len(template.texts):
            text = f"body: number of localizable_params ({len(template.texts)})"
            raise GraphError(_OTHER_PARAMETERS, text)


def _chosen(
    known: dict[str, Any], fields: str | None, default: Sequence[str]
) -> dict[str, Any]:
    names = fields.split(",") if fields else list(default)
    for name in names:
        if name not in {*known, *default, *_EMPTY, "id"}:
            raise GraphError(PARAMETER, f"Tried accessing nonexisting field ({name})")
    return {name: known[name] for name in names if name in known}


def page(items: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of a list, with the cursors of its ends.

    Raises:
        GraphError: ``limit`` or ``after`` is none.

    """
    try:
        start = int(query.get("after", "0"))
        limit = int(query.get("limit", _PAGE))
    except ValueError:
        raise GraphError(PARAMETER, "limit or after is wrong") from None
    found = list(items[start : start + limit])
    if not found:
        return {"data": []}
    end = start + len(found)
    cursors = {"before": str(start), "after": str(end)}
    more = {"next": f"after={end}"} if end < len(items) else {}
    return {"data": found, "paging": {"cursors": cursors, **more}}


def nothing(found: str) -> GraphError:
    """Return what Meta says where an id names nothing."""
    code, subcode = _NOTHING_THERE
    text = f"Unsupported request. Object with ID '{found}' does not exist"
    return GraphError(code, text, subcode=subcode)
