"""A webhook's body → its items, before anything is acknowledged. Pure; never raises.

One body holds N entries x M changes x K messages and statuses (Meta, *Webhooks
notification payload*). A part that can't be told apart is stored as poison, and does
not keep the others from being stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.errors import PayloadError
from gateway.model import Item, ItemKind
from gateway.payload import Payload
from gateway_whatsapp.people import SCHEME, find_person

STATUSES = frozenset({"sent", "delivered", "read", "played", "failed"})
"""Statuses that say something about a delivery; others are ignored."""

MOST_PARTS = 5_000
"""Items of one body; Meta sends 1,000 at most. A body with more is poison."""

_OBJECT = "whatsapp_business_account"
_FIELD = re.compile(r"[a-z_]{1,64}")
_RECIPIENT = ("recipient_participant_id", "recipient_id", "recipient_user_id")

Reader = Callable[[Payload, Payload], None]


@dataclass(frozen=True, slots=True)
class Split:
    """What a body holds for us; ``ignored`` says what it holds for somebody else."""

    items: tuple[Item, ...]
    ignored: tuple[str, ...]


def split(body: bytes, phone_number_id: str) -> Split:
    """Tell the parts of ``body`` that concern ``phone_number_id``."""
    splitter = _Splitter(body, phone_number_id)
    try:
        splitter.read(Payload.from_json(body))
    except PayloadError:
        splitter.poison()
    if len(splitter.items) > MOST_PARTS:
        splitter.items.clear()
        splitter.poison()
    if not splitter.items and not splitter.ignored:
        splitter.ignored["empty"] = None
    return Split(tuple(splitter.items), tuple(splitter.ignored))


@dataclass(slots=True)
class _Splitter:
    """Collects the items of one body; ``ignored`` is an ordered set of reasons."""

    body: bytes
    phone_number_id: str
    items: list[Item] = field(default_factory=list)
    ignored: dict[str, None] = field(default_factory=dict)

    def poison(self, path: str = "") -> None:
        """Note a part without a usable id, under one that repetitions share."""
        digest = hashlib.sha256(self.body).hexdigest()
        external_id = f"poison:{digest}:{path}" if path else f"poison:{digest}"
        item = Item(
            external_id=external_id,
            sender=external_id,
            part=path,
            kind=ItemKind.POISON,
        )
        self.items.append(item)

    def read(self, payload: Payload) -> None:
        """Walk all entries and changes.

        Raises:
            PayloadError: this is no webhook at all.

        """
        if payload.text("object") != _OBJECT:
            self.ignored["object"] = None
            return
        for entry in payload.items("entry"):
            for change in self._each(entry, "changes"):
                self._change(change)

    def _each(self, parent: Payload, key: str) -> Iterator[Payload]:
        """Walk the list under ``key``, if there is one; anything else is poison.

        Reads the value itself: the hottest loop of the gateway.
        """
        if not isinstance(parent.value, dict):
            self.poison(parent.path)
            return
        members = parent.value.get(key)
        if members is None:
            return
        if not isinstance(members, list):
            self.poison(f"{parent.path}.{key}")
            return
        for index, member in enumerate(members):
            yield Payload(member, f"{parent.path}.{key}[{index}]")

    def _change(self, change: Payload) -> None:
        try:
            subject = change.text("field")
            if subject != "messages":
                known = _FIELD.fullmatch(subject) is not None
                self.ignored[f"field {subject if known else 'unknown'}"] = None
                return
            value = change.get("value")
            number = value.get("metadata").text("phone_number_id")
        except PayloadError:
            self.poison(change.path)
            return
        if number != self.phone_number_id:
            self.ignored["other phone_number_id"] = None
            return
        for message in self._each(value, "messages"):
            self._part(value, message, self._message)
        for status in self._each(value, "statuses"):
            self._part(value, status, self._status)

    def _part(self, value: Payload, part: Payload, read: Reader) -> None:
        """Note one part, or that it can't be told apart from others."""
        try:
            read(value, part)
        except PayloadError:
            self.poison(part.path)

    def _message(self, value: Payload, message: Payload) -> None:
        external_id = _id(message)
        key = find_person(value, message).key
        sender = f"{SCHEME}:{key}" if key else external_id
        item = Item(external_id=external_id, sender=sender, part=message.path)
        self.items.append(item)

    def _status(self, value: Payload, status: Payload) -> None:
        del value
        said = status.text("status")
        if said not in STATUSES:
            self.ignored["status unknown"] = None
            return
        wamid = _id(status)
        recipient = next(
            (status.text(key) for key in _RECIPIENT if status.has(key)), ""
        )
        item = Item(
            external_id=f"status:{wamid}:{said}:{recipient}",
            sender=f"receipt:{wamid}",
            part=status.path,
            kind=ItemKind.RECEIPT,
        )
        self.items.append(item)


def _id(part: Payload) -> str:
    external_id = part.text("id")
    if not external_id.strip():
        part.get("id").refuse("an id")
    return external_id
