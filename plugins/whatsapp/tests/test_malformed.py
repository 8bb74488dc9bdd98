"""Mutated webhooks (``MUTATIONS``, 10,000): no 5xx, nothing unhandled, none lost."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from gateway_whatsapp.signature import HEADER, sign
from gateway_whatsapp.split import split

from gateway import inbox
from gateway.errors import PayloadError
from gateway.model import ItemKind
from gateway.store import schema

COUNT = int(os.environ.get("MUTATIONS", "10000"))
SEED = 20261108
NUMBER = "1122334455667"
SECRET = b"testappsecret"
CONNECTIONS = 32
INBOUND = Path(__file__).parent / "fixtures" / "inbound"
MARK = '"@place@"'
WRONG = ["", "sha256=", "sha256=00", "sha256=" + "0" * 64, "sha256=\xe8", "asdf"]


@dataclass(frozen=True)
class Sent:
    """A webhook as it was sent, and its answer."""

    body: bytes
    signed: bool
    status: int
    text: str


class Forge:
    """Makes broken webhooks out of real ones; the same seed, the same webhooks."""

    def __init__(self, mutate) -> None:
        self._mutate = mutate
        self._chance = random.Random(SEED)
        self._made = 0
        self._payloads = [file.read_text() for file in sorted(INBOUND.iterdir())]
        self._kinds = (self._plain, *[self._typed] * 4, self._deep, self._huge)
        self._kinds += (self._escaped, self._bytes, self._cut, self._twice)

    def body(self) -> bytes:
        """Return the next body."""
        return self._chance.choice(self._kinds)(self._fresh())

    def header(self, body: bytes) -> str | None:
        """Return a signature: mostly Meta's, else wrong or none."""
        wrong = [None, *WRONG, sign(body, b"another"), sign(body + b" ", SECRET)]
        good = self._chance.random() < 0.85
        return sign(body, SECRET) if good else self._chance.choice(wrong)

    def _fresh(self):
        """Return a real payload for our number, with ids never used before."""
        self._made += 1
        payload = json.loads(self._chance.choice(self._payloads))
        for entry in payload["entry"]:
            for change in entry["changes"]:
                value = change["value"]
                value["metadata"]["phone_number_id"] = NUMBER
                for part in value.get("messages", value.get("statuses", [])):
                    part["id"] = f"wamid.{self._made}"
        return payload

    def _plain(self, payload) -> bytes:
        return json.dumps(payload).encode()

    def _typed(self, payload) -> bytes:
        mutated = self._mutate(self._chance, payload)
        return json.dumps(mutated, ensure_ascii=False).encode()

    def _put(self, payload, *texts: str) -> bytes:
        """Put raw JSON somewhere into the payload."""
        spot = self._chance.choice(["object", "entry", "changes", "value", "message"])
        holders = {
            "object": payload,
            "entry": payload["entry"][0],
            "changes": payload["entry"][0]["changes"][0],
            "value": payload["entry"][0]["changes"][0]["value"],
        }
        value = holders["value"]
        parts = value.get("messages") or value.get("statuses") or [value]
        holder = holders.get(spot, parts[0])
        holder[self._chance.choice(list(holder))] = MARK.strip('"')
        return json.dumps(payload).replace(MARK, self._chance.choice(texts)).encode()

    def _deep(self, payload) -> bytes:
        depth = self._chance.choice([10, 100, 900, 1_100, 20_000])
        lists = "[" * depth + "]" * depth
        return self._put(payload, lists, '{"id":' * depth + "1" + "}" * depth)

    def _huge(self, payload) -> bytes:
        digits = "9" * self._chance.choice([19, 20, 40, 400, 5_000])
        return self._put(payload, digits, f"-{digits}", f"{digits}.5", "1e400", "-0")

    def _escaped(self, payload) -> bytes:
        odd = [r"\u0000", r"\ud800", r"\udfff\ud800", r"\uffff", r"\n\r", "\u202e"]
        return self._put(payload, *[f'"a{each}b"' for each in odd])

    def _bytes(self, payload) -> bytes:
        body = bytearray(json.dumps(payload).encode())
        for _ in range(self._chance.randint(1, 4)):
            at = self._chance.randrange(len(body))
            body[at : at + self._chance.randint(0, 2)] = self._chance.randbytes(2)
        return bytes(body)

    def _cut(self, payload) -> bytes:
        body = json.dumps(payload).encode()
        return body[: self._chance.randrange(len(body))]

    def _twice(self, payload) -> bytes:
        """Say a key twice."""
        body = json.dumps(payload)
        return body.replace('"id":', '"id": 1, "id":').encode()


@pytest.fixture
def sent_all(mutate, real):
    """Send all the webhooks, several at a time; return them with their answers."""

    async def send() -> list[Sent]:
        forge, answers = Forge(mutate), []
        pairs = ((body := forge.body(), forge.header(body)) for _ in range(COUNT))
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector) as http:

            async def work() -> None:
                for body, header in pairs:
                    answers.append(await _post(http, real, body, header))

            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(work())
        return answers

    return send


async def _post(http, url: str, body: bytes, header: str | None) -> Sent:
    headers = {} if header is None else {HEADER: header}
    async with http.post(url, data=body, headers=headers) as response:
        text = await response.text()
    return Sent(body, header == sign(body, SECRET), response.status, text)


async def test_malformed_webhooks(sent_all, channel, store, caplog):
    """Each is stored, ignored with a reason, or refused for its signature.

    None is lost: every part of what was accepted, poison too, has its row.
    """
    unhandled = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    with caplog.at_level(logging.ERROR):
        sent = await sent_all()
    stored = await store.read(_originals)

    assert {200: True, 401: False} == {each.status: each.signed for each in sent}
    assert ([], []) == (unhandled, caplog.records)
    answered = {each.body: each.text for each in sent if each.signed}
    accepted = {body for body, text in answered.items() if text == "accepted\n"}
    ignored = {b for b, text in answered.items() if text.startswith("ignored: ")}
    assert set(answered) == accepted | ignored
    assert stored <= accepted
    repeated = accepted - stored
    assert _ids(accepted) == await store.read(_known)
    assert len(repeated) < len(stored) / 20
    assert len(ignored) < len(stored)
    counts = await _read_all(channel(), store)
    _assert_mixed(counts)
    answers = Counter(each.text.partition(":")[0].strip() for each in sent)
    print(f"\nanswers: {dict(answers)}; rows: {dict(counts)}")  # noqa: T201 (to be kept)


def _ids(bodies: set[bytes]) -> set[tuple[str, str]]:
    """Return kind and id of each part of bodies, as they are stored."""
    return {
        (item.kind.value, item.external_id.replace("\x00", "\ufffd"))
        for body in bodies
        for item in split(body, NUMBER).items
    }


def _known(connection) -> set[tuple[str, str]]:
    rows = connection.execute(schema.inbox.select())
    return {(row.kind, row.external_id) for row in rows}


def _originals(connection) -> set[bytes]:
    return {row.body for row in connection.execute(schema.original.select())}


async def _read_all(channel, store) -> Counter[str]:
    """Read all that was stored; count how it went. Nothing else may be raised."""
    rows = await store.read(lambda c: c.execute(schema.inbox.select()).all())
    counts: Counter[str] = Counter()
    for start in range(0, len(rows), 500):
        some = [row.id for row in rows[start : start + 500]]
        for inbound in await store.read(lambda c, some=some: inbox.load(c, some)):
            counts[_read(channel, inbound)] += 1
    return counts


def _read(channel, inbound) -> str:
    if inbound.kind is ItemKind.POISON:
        return "poison"
    try:
        return type(channel.parse(inbound)).__name__
    except PayloadError:
        return "unreadable"


def _assert_mixed(counts: Counter[str]) -> None:
    """The webhooks must reach every end, or they prove little."""
    ends = {"Message", "Receipt", "AddressChange", "poison", "unreadable"}
    assert ends == set(counts)
    assert min(counts.values()) > 20
