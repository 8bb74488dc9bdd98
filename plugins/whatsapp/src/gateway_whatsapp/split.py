"""A webhook's body → its items, before anything is acknowledged. Pure; never raises.

One body holds N entries x M changes x K messages and statuses (Meta, *Webhooks
notification payload*). A part that can't be told apart is stored as poison, and does
not keep the others from being stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import PayloadError
from gateway.model import Item, ItemKind
from gateway.payload import Payload
from gateway_whatsapp.people import SCHEME, find_key

STATUSES = frozenset({"sent", "delivered", "read", "played", "failed"})
"""Statuses that say something about a delivery; others are ignored."""

MOST_PARTS = 5_000
"""Items of one body; Meta sends 1,000 at most. A body with more is poison."""

_OBJECT = "whatsapp_business_account"
_FIELD = re.compile(r"[a-z_]{1,64}")
_RECIPIENT = ("recipient_participant_id", "recipient_id", "recipient_user_id")


@dataclass(frozen=True, slots=True)
class Split:
    """What a body holds for us; ``ignored`` says what it holds for somebody else.

    ``others`` is what it holds for our siblings' numbers.
    """

    items: tuple[Item, ...]
    ignored: tuple[str, ...]
    others: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)


def split(body: bytes, phone_number_id: str, others: Iterable[str] = ()) -> Split:
    """Tell the parts of ``body`` that concern ``phone_number_id``, and the ``others``.

    What can't be told whose it is counts as ours.
    """
    splitter = _Splitter(body, phone_number_id, {number: [] for number in others})
    try:
        splitter.read(Payload.from_json(body))
    except PayloadError:
        splitter.poison()
    found = {number: tuple(i) for number, i in splitter.others.items() if i}
    if len(splitter.items) + sum(map(len, found.values())) > MOST_PARTS:
        found.clear()
        splitter.items.clear()
        splitter.poison()
    if not splitter.items and not found and not splitter.ignored:
        splitter.ignored["empty"] = None
    return Split(tuple(splitter.items), tuple(splitter.ignored), found)


@dataclass(slots=True)
class _Splitter:
    """Collects the items of one body; ``ignored`` is an ordered set of reasons."""

    body: bytes
    phone_number_id: str
    others: dict[str, list[Item]]
    items: list[Item] = field(default_factory=list)
    ignored: dict[str, None] = field(default_factory=dict)

    def poison(self, path: str = "", items: list[Item] | None = None) -> None:
        """Note a part without a usable id, under one that repetitions share."""
        digest = hashlib.sha256(self.body).hexdigest()
        external_id = f"poison:{digest}:{path}" if path else f"poison:{digest}"
        item = Item(
            external_id=external_id,
            sender=external_id,
            part=path,
            kind=ItemKind.POISON,
        )
        (self.items if items is None else items).append(item)

    def read(self, webhook: Payload) -> None:
        """Walk all entries and changes.

        Plain values and few calls from here on: each webhook waits for this.

        Raises:
            PayloadError: this is no webhook at all.

        """
        if webhook.text("object") != _OBJECT:
            self.ignored["object"] = None
            return
        entries = webhook.get("entry")
        if not isinstance(entries.value, list):
            entries.refuse("list")
        for number, entry in enumerate(entries.value):
            path = f"entry[{number}]"
            for index, change in enumerate(self._members(entry, "changes", path)):
                self._change(change, f"{path}.changes[{index}]")

    def _members(
        self, parent: Any, key: str, path: str, items: list[Item] | None = None
    ) -> list[Any]:
        """Return the list under ``key``, if there is one; anything else is poison."""
        if isinstance(parent, dict):
            members = parent.get(key)
            if isinstance(members, list):
                return members
            if members is None:
                return []
            path = f"{path}.{key}"
        self.poison(path, items)
        return []

    def _change(self, change: Any, path: str) -> None:
        try:
            subject = change["field"]
            if subject == "messages":
                value = change["value"]
                number = value["metadata"]["phone_number_id"]
        except (TypeError, LookupError):
            self.poison(path)
            return
        if not isinstance(subject, str):
            self.poison(path)
        elif subject != "messages":
            known = _FIELD.fullmatch(subject) is not None
            self.ignored[f"field {subject if known else 'unknown'}"] = None
        elif not isinstance(number, str):
            self.poison(path)
        elif number == self.phone_number_id:
            self._parts(value, f"{path}.value", self.items)
        elif number in self.others:
            self._parts(value, f"{path}.value", self.others[number])
        else:
            self.ignored["other phone_number_id"] = None

    def _parts(self, value: Any, path: str, items: list[Item]) -> None:
        """Note each part, or that it can't be told apart from others."""
        for index, message in enumerate(self._members(value, "messages", path, items)):
            place = f"{path}.messages[{index}]"
            if external_id := _id(message):
                key = find_key(value, message)
                sender = f"{SCHEME}:{key}" if key else external_id
                item = Item(external_id=external_id, sender=sender, part=place)
                items.append(item)
            else:
                self.poison(place, items)
        for index, status in enumerate(self._members(value, "statuses", path, items)):
            place = f"{path}.statuses[{index}]"
            try:
                self._status(Payload(status, place), items)
            except PayloadError:
                self.poison(place, items)

    def _status(self, status: Payload, items: list[Item]) -> None:
        said = status.text("status")
        if said not in STATUSES:
            self.ignored["status unknown"] = None
            return
        wamid = _id(status.value)
        if not wamid:
            raise PayloadError(f"{status.path}.id", "expected an id")
        recipient = next(
            (status.text(key) for key in _RECIPIENT if status.has(key)), ""
        )
        item = Item(
            external_id=f"status:{wamid}:{said}:{recipient}",
            sender=f"receipt:{wamid}",
            part=status.path,
            kind=ItemKind.RECEIPT,
        )
        items.append(item)


def _id(part: Any) -> str:
    """Return the provider's id, "" if there is none to tell the part by."""
    found = part.get("id") if isinstance(part, dict) else None
    return found if isinstance(found, str) and found.strip() else ""
