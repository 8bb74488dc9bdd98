"""Webhooks as Meta sends them: real payloads, with ids and people put in. Pure."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from importlib import resources
from typing import Any

from gateway_whatsapp.people import is_bsuid

_FOLDER = resources.files("gateway_whatsapp.simulator") / "data"


def load(name: str) -> dict[str, Any]:
    """Return a fresh copy of a shipped payload."""
    payload: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_bytes())
    return payload


def new_wamid() -> str:
    """Return a new message id in the shape of Meta's."""
    return f"wamid.{base64.b64encode(uuid.uuid4().bytes).decode()}"


def encode(payload: Any) -> bytes:
    r"""Return the bytes as Meta writes them: ``\u00e4`` and ``\/``, no spaces."""
    text = json.dumps(payload, ensure_ascii=True, separators=(",", ":"))
    return text.replace("/", "\\/").encode("ascii")


def value_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the only change's value."""
    value: dict[str, Any] = payload["entry"][0]["changes"][0]["value"]
    return value


def message(  # noqa: PLR0913 (a webhook has that many blanks)
    kind: str,
    *,
    phone_number_id: str,
    from_: str,
    name: str,
    user_id: str | None,
    at: datetime,
    content: dict[str, Any],
    context: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the payload ``kind`` from a person, with ``content`` in its object.

    ``from_`` is a number, or the user id of somebody whose number we don't get to know.
    Without ``user_id`` it is made of the number; "" leaves it out, as before 2026.
    """
    payload = load(kind)
    value = value_of(payload)
    value["metadata"]["phone_number_id"] = phone_number_id
    contact: dict[str, Any] = {"profile": {"name": name}}
    said = value["messages"][0]
    said.update(id=new_wamid(), timestamp=str(int(at.timestamp())))
    del said["from"]
    if is_bsuid(from_):
        user_id = from_
    else:
        contact["wa_id"] = said["from"] = from_
        user_id = user_id_of(from_) if user_id is None else user_id
    if user_id:
        contact["user_id"] = said["from_user_id"] = user_id
    if context is not None:
        said["context"] = context
    value["contacts"] = [contact]
    said[said["type"]] = content
    return payload


def user_id_of(number: str) -> str:
    """Return the user id of whoever has a number, as this simulator gives them out."""
    return f"IT.{number}"


def batch(payloads: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return one body with all that ``payloads`` hold: an entry for each account."""
    entries: dict[str, list[Any]] = {}
    for payload in payloads:
        for entry in payload["entry"]:
            entries.setdefault(entry["id"], []).extend(entry["changes"])
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": key, "changes": each} for key, each in entries.items()],
    }


def status(  # noqa: PLR0913 (as above)
    said: str,
    *,
    phone_number_id: str,
    wamid: str,
    to: str,
    at: datetime,
    token: str | None,
    code: int | None = None,
) -> dict[str, Any]:
    """Return a status of a message of ours; ``token`` is its callback data."""
    payload = load("status_failed" if said == "failed" else "status")
    value = value_of(payload)
    value["metadata"]["phone_number_id"] = phone_number_id
    value["contacts"] = [_contact(to)]
    entry = value["statuses"][0]
    entry.update(id=wamid, status=said, timestamp=str(int(at.timestamp())))
    del entry["recipient_id"]
    if not is_bsuid(to):
        entry["recipient_id"] = to
    entry["recipient_user_id"] = to if is_bsuid(to) else user_id_of(to)
    entry.pop("biz_opaque_callback_data", None)
    if token is not None:
        entry["biz_opaque_callback_data"] = token
    if code is not None:
        entry["errors"] = [{"code": code, "title": f"error {code}"}]
    return payload


def _contact(person: str) -> dict[str, Any]:
    """Return who a status is about: since 2026 Meta always tells the user id."""
    profile = {"profile": {"name": "Maria Deiana"}}
    if is_bsuid(person):
        return {**profile, "user_id": person}
    return {**profile, "wa_id": person, "user_id": user_id_of(person)}
