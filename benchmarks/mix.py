"""A day's webhooks: every type that Meta sends, made of the real fixtures.

A citizen's message is answered by a notice and an answer, and of each Meta says that it
was sent, delivered and mostly read: five statuses a message. Of the messages six in ten
are plain texts, two in ten carry a file. One webhook in fifty brings several at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
from gateway_whatsapp.signature import sign
from load import NUMBER, SECRET, TEXTS, wamid
from processes import ROOT

MEDIA: Final = "file"
"""The id of every file in the mix."""

_FIXTURES: Final = ROOT / "plugins" / "whatsapp" / "tests" / "fixtures" / "inbound"
_SEED: Final = 20261124
_BATCHED: Final = 0.02
_MOST_AT_ONCE: Final = 20
_STATUSES: Final = 5 / 6
"""Share of the statuses among messages and statuses."""

_STATUS_WEIGHTS: Final = {
    "pywa_message_status__sent": 30,
    "pywa_message_status__with_tracker": 10,
    "pywa_message_status__delivered": 38,
    "pywa_message_status__read": 19,
    "pywa_message_status__played": 2,
    "pywa_message_status__failed": 1,
}
_MESSAGE_WEIGHTS: Final = {
    "meta__text_message": 500,
    "pywa_message__reply": 80,
    "pywa_message__forwarded": 15,
    "meta__text_message_from_click_to_whatsapp_ad": 5,
    "meta__image_message": 110,
    "pywa_message__voice": 60,
    "pywa_message__document": 20,
    "pywa_message__video": 15,
    "pywa_message__audio": 5,
    "meta__location_message": 40,
    "pywa_message__chosen_location": 10,
    "meta__interactive_button_reply_message": 40,
    "meta__interactive_list_reply_message": 20,
    "meta__button_message": 10,
    "meta__reaction_message": 30,
}
_RARE: Final = 1
"""The weight of every other fixture."""


def mixed(count: int) -> Iterator[bytes]:
    """Return ``count`` webhooks, each with ids of its own."""
    chance = random.Random(_SEED)
    templates = _Templates(chance)
    made = 0
    for _ in range(count):
        several = chance.random() < _BATCHED
        size = chance.randint(2, _MOST_AT_ONCE) if several else 1
        entries = [templates.entry(number) for number in range(made, made + size)]
        made += size
        joined = b",".join(entries)
        yield b'{"object":"whatsapp_business_account","entry":[' + joined + b"]}"


def write_mix(path: Path, count: int) -> Path:
    """Write ``count`` webhooks with their signatures, a line each."""
    with path.open("wb") as file:
        for body in mixed(count):
            file.write(sign(body, SECRET.encode()).encode() + b"\t" + body + b"\n")
    return path


class _Templates:
    """The fixtures, drawn by weight; ids and people are put in."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        read = {
            file.stem: orjson.loads(file.read_bytes())["entry"][0]
            for file in sorted(_FIXTURES.glob("*.json"))
        }
        self._statuses = [(read.pop(n), w) for n, w in _STATUS_WEIGHTS.items()]
        self._messages = [
            (entry, _MESSAGE_WEIGHTS.get(name, _RARE)) for name, entry in read.items()
        ]

    def entry(self, number: int) -> bytes:
        """Return one entry of a webhook."""
        is_status = self._chance.random() < _STATUSES
        drawn = self._statuses if is_status else self._messages
        weights = [weight for _, weight in drawn]
        ((entry, _),) = self._chance.choices(drawn, weights)
        for change in entry["changes"]:
            _personalise(change["value"], number)
        return orjson.dumps(entry)


def _personalise(value: dict[str, Any], number: int) -> None:
    """Make it somebody's, to us, under a new id."""
    person = f"39333{number % 20_000:07}"
    value["metadata"]["phone_number_id"] = NUMBER
    for contact in value.get("contacts", []):
        contact.update({k: person for k in ("wa_id",) if k in contact})
        contact.update({k: f"IT.{person}" for k in ("user_id",) if k in contact})
    for part in value.get("messages", []):
        part.update(id=wamid(person, number))
        part.update({"from": person} if "from" in part else {})
        part.update({k: f"IT.{person}" for k in ("from_user_id",) if k in part})
        _say(part, number)
    for part in value.get("statuses", []):
        part.update(id=wamid(person, number), recipient_id=person)


def _say(part: dict[str, Any], number: int) -> None:
    """Put in a text, or the one file there is."""
    content = part.get(part.get("type", ""))
    if not isinstance(content, dict):
        return
    if part["type"] == "text":
        content["body"] = f"{TEXTS[number % len(TEXTS)]} ({number})"
    elif "mime_type" in content:
        content["id"] = MEDIA
        content.pop("sha256", None)
        content.pop("url", None)
