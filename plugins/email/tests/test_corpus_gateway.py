"""All stored mails, and the bombs, through a whole gateway.

Each is kept as it came and read as its table says, or shown to staff; the mail that its
sender writes next is always read.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailPlugin
from gateway_email.isolation import Limits
from gateway_email.senders import sender_of
from sqlalchemy import Connection, select

from gateway.app import Gateway
from gateway.inbox import PROCESS
from gateway.model import Item
from gateway.store import schema
from gateway.testing.kit import running

pytestmark = pytest.mark.long

FIXTURES = Path(__file__).parent / "fixtures"
BOMBS = tomllib.loads((FIXTURES / "bombs.toml").read_text())
SECONDS = 400
TOML = """
[gateway]
name = "Comune di Prova"
plugins = ["email"]
default_service = "urp"
[store]
url = "sqlite:///{folder}/gateway.db"
data = "{folder}"
[web]
port = 0
min_free_bytes = 0
[channels.posta]
type = "email"
host = "127.0.0.1"
port = 1
username = "urp@comune.test"
password = {{ env = "CORPUS_PASSWORD" }}
[plugins.email]
host = "127.0.0.1"
port = 1
security = "none"
sender = "urp@comune.test"
reply_to = "urp@comune.test"
domain = "comune.test"
key = {{ env = "CORPUS_KEY" }}
[services.urp]
name = "URP"
connectors = [{{ type = "email", to = ["ufficio@comune.test"] }}]
"""


@dataclass
class Fates:
    """What became of each mail, by its external id."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def _gateway(
    folder: Path, monkeypatch: Any, limits: Limits | None = None
) -> AsyncIterator[Gateway]:
    """Run a gateway whose mail servers are away."""
    monkeypatch.setenv("CORPUS_PASSWORD", "segreta")
    monkeypatch.setenv("CORPUS_KEY", "0123456789abcdef")
    toml = TOML.format(folder=folder)
    plugin = EmailPlugin(limits)
    async with running(toml, folder, {"email": plugin}) as gateway:
        yield gateway


async def _feed(gateway: Gateway, mails: Mapping[str, bytes]) -> Fates:
    """Store mails as the channel does, and wait until all are done."""
    for name, raw in mails.items():
        item = Item(external_id=name, sender=sender_of(raw))
        await gateway.inbox.accept("posta", raw, [item])  # type: ignore[arg-type]
    async with asyncio.timeout(SECONDS):
        while await gateway.store.read(_open_jobs):
            await asyncio.sleep(0.1)
    return await gateway.store.read(_fates)


def _open_jobs(connection: Connection) -> int:
    queue = schema.job.c.queue == PROCESS
    return len(connection.execute(select(schema.job.c.id).where(queue)).all())


def _fates(connection: Connection) -> Fates:
    fates = Fates()
    names = {}
    rows = select(schema.inbox, schema.original.c.body).join(schema.original)
    for row in connection.execute(rows):
        names[row.id] = row.external_id
        fates.bodies[row.external_id] = row.body
    for row in connection.execute(schema.message.select()):
        if row.id in names:
            fates.texts[names[row.id]] = json.loads(row.body)["text"]
    for row in connection.execute(schema.dead_letter.select()):
        if row.subject in names:
            fates.codes[names[row.subject]] = row.code
    return fates


def _stored() -> dict[str, bytes]:
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(FIXTURES.rglob("*.eml"))
    }


def _expand(recipe: Mapping[str, Any]) -> bytes:
    middle = "".join(
        recipe["middle"].replace("{n}", str(n)).replace("{next}", str(n + 1))
        for n in range(recipe["times"])
    )
    return f"{recipe['head']}{middle}{recipe['tail']}".encode()


def _after(mails: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the mails, and after each another of the same sender."""
    after = {}
    for name, raw in mails.items():
        sender = sender_of(raw).removeprefix("mailto:") or "a@example.it"
        after[name] = raw
        after[f"{name} next"] = f"From: {sender}\n\nDopo.\n".encode()
    return after


async def test_every_stored_mail_is_kept_and_read_or_shown(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """No mail is lost, whatever it is; what its table says is what staff get."""
    mails = _stored()
    async with _gateway(tmp_path, monkeypatch) as gateway:
        fates = await _feed(gateway, mails)

    assert 300 <= len(mails)
    assert mails == fates.bodies
    tables = [it for it in FIXTURES.glob("*.toml") if it.with_suffix("").is_dir()]
    assert tables
    for table in tables:
        for file, expected in tomllib.loads(table.read_text()).items():
            name = f"{table.stem}/{file}"
            if "text" in expected:
                assert expected["text"] == fates.texts[name], name
            elif "error" in expected:
                assert expected["error"] == fates.codes[name], name
    # What is neither is a receipt: its delivery, made up here, is not among ours.
    done = {*fates.texts, *fates.codes}
    assert set(mails) == done
    assert "parser_failed" not in fates.codes.values()


async def test_every_bomb_is_kept_and_harms_no_other_mail(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Each ends as its recipe says; what its sender writes next is read."""
    bombs = {name: _expand(recipe) for name, recipe in BOMBS.items()}
    async with _gateway(tmp_path, monkeypatch) as gateway:
        fates = await _feed(gateway, _after(bombs))

    assert bombs == {name: fates.bodies[name] for name in bombs}
    outcomes = {name: fates.codes.get(name, "read") for name in bombs}
    assert {name: recipe["outcome"] for name, recipe in BOMBS.items()} == outcomes
    for name in bombs:
        assert "Dopo." == fates.texts[f"{name} next"], name


async def test_mail_that_breaks_its_reader_is_shown_and_the_next_is_read(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Too little memory, here: staff see which limit it was."""
    mails = _after({"large": b"From: a@example.it\n\n" + b"buca\n" * 4_000_000})
    limits = Limits(address_space=200 * 1024 * 1024)
    async with _gateway(tmp_path, monkeypatch, limits) as gateway:
        fates = await _feed(gateway, mails)

    assert mails == fates.bodies
    assert "reader_memory" == fates.codes["large"]
    assert "Dopo." == fates.texts["large next"]
