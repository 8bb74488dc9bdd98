"""Who wrote: the stable user id where there is one, else the number. Pure.

Meta's business-scoped user id (BSUID) comes with every webhook since 2026; a person
with a username may have no number at all. Sources: Meta, *Business-scoped user IDs*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gateway.model import Address
from gateway.payload import Payload

SCHEME = "whatsapp"

_BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
_ID = re.compile(rf"{_BSUID.pattern}|[0-9]{{1,20}}")
_CHANGES = {"user_changed_number", "user_changed_user_id"}
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A WhatsApp user as one webhook names them; either id may be missing ("")."""

    bsuid: str = ""
    wa_id: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """Return the id to recognise the person by; "" if there is none."""
        return self.bsuid or self.wa_id

    @property
    def aliases(self) -> tuple[Address, ...]:
        """Return the person's other addresses."""
        if self.bsuid and self.wa_id:
            return (Address(SCHEME, self.wa_id),)
        return ()


def is_bsuid(value: str) -> bool:
    """Tell whether ``value`` is a business-scoped user id: ``IT.1349…``."""
    return _BSUID.fullmatch(value) is not None


def find_person(value: Payload, message: Payload) -> Person:
    """Say who wrote ``message``, which stands in ``value``; never raises.

    What is no proper id counts as missing; in the wild, a BSUID may stand in the
    place of the number.
    """
    ids, contact = _identify(value.value, message.value)
    profile = contact.get("profile")
    name = _text(profile, "name") or _text(profile, "username")
    return Person(
        bsuid=_first_bsuid(ids),
        wa_id=next((each for each in ids if "." not in each), ""),
        name=name.replace("\x00", "")[:_LONGEST_NAME].strip(),
    )


def find_key(value: Any, message: Any) -> str:
    """Return the `Person.key` of who wrote ``message``, and no more: for the intake."""
    stable = message.get("from_user_id") if isinstance(message, dict) else None
    if isinstance(stable, str) and is_bsuid(stable):
        return stable  # as `_identify` would find, after more of a search
    ids, _ = _identify(value, message)
    return _first_bsuid(ids) or (ids[0] if ids else "")


def find_change(message: Payload) -> tuple[list[str], list[str]]:
    """Return the ids that a person had and the ones they have now, stable ones first.

    Both are empty if ``message`` tells of no change. Meta tells a new number
    (``user_changed_number``, before v13 as ``new_wa_id``) and a new user id.
    """
    event = message.value.get("system") if isinstance(message.value, dict) else None
    if not isinstance(event, dict) or _text(event, "type") not in _CHANGES:
        return [], []
    new = _ids(event, "user_id", "wa_id") + _ids(event, "", "new_wa_id")
    before = _ids(event, "previous_user_id", "")
    before += _ids(message.value, "from_user_id", "from")
    return [each for each in before if each not in new], new


def _first_bsuid(ids: list[str]) -> str:
    for each in ids:
        if "." in each:
            return each
    return ""


def _identify(value: Any, message: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the writer's ids, the stable one first, and their contact entry."""
    said = _ids(message, "from_user_id", "from")
    contact = _find_contact(value, said)
    return said + _ids(contact, "user_id", "wa_id"), contact


def _find_contact(value: Any, said: list[str]) -> dict[str, Any]:
    """Return the contact with one of the ids; the only one if there are no ids."""
    contacts = value.get("contacts") if isinstance(value, dict) else None
    if not isinstance(contacts, list):
        return {}
    known = [each for each in contacts if isinstance(each, dict)]
    for contact in known:
        if contact.get("wa_id") in said or contact.get("user_id") in said:
            return contact
    return known[0] if len(known) == 1 and not said else {}


def _ids(value: Any, stable: str, number: str) -> list[str]:
    """Return what stands under the two keys and is an id."""
    if not isinstance(value, dict):
        return []
    ids = []
    for key in (stable, number):
        found = value.get(key)
        if isinstance(found, str) and _ID.fullmatch(found):
            ids.append(found)
    return ids


def _text(value: Any, key: str) -> str:
    """Return the text under ``key``, "" if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
