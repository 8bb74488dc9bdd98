"""An office behind each connector: gets reports, answers them, closes the case."""

from __future__ import annotations

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import mailboxes
from georeport_server import CITY, KEY, GeoReport, georeport
from mailboxes import PATIENCE
from office_server import OfficeServer, office_server
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an office got: the words, its files by name, and where it is."""

    text: str
    photos: list[bytes] | None = None
    """The photos themselves; None where they don't go along."""
    place: str = ""


class Office(ABC):
    """The office for roads."""

    connector: str
    """How the configuration reaches it."""

    port = 0
    """Of the gateway, once it runs."""

    @abstractmethod
    async def get(self, mark: str) -> Report:
        """Wait for the report with these words."""

    @abstractmethod
    async def get_place(self) -> str:
        """Wait for what tells of the position."""

    @abstractmethod
    async def say(self, number: str, text: str, *, closed: bool = False) -> None:
        """Answer the report, and close the case if that is all."""


async def _until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not (result := found()):
            await asyncio.sleep(0.05)
    return result


class ByMail(Office):
    """Answers the mail it got."""

    connector = '{ type = "email", to = ["ufficio@uno.test"] }'
    address = "ufficio@uno.test"

    def __init__(self, peer: Any) -> None:
        self._peer = peer
        self._got: EmailMessage

    async def get(self, mark: str) -> Report:
        self._got = mail = await mailboxes.read(self._peer, self.address, mark)
        files = [part.get_content() for part in mail.iter_attachments()]
        return Report(text=mailboxes.words(mail), photos=files)

    async def get_place(self) -> str:
        mail = await mailboxes.read(self._peer, self.address, "openstreetmap")
        return mailboxes.words(mail)

    async def say(self, number: str, text: str, *, closed: bool = False) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"] = self.address, str(self._got["Reply-To"])
        mail["Subject"] = f"Re: {self._got['Subject']}"
        mail["In-Reply-To"] = str(self._got["Message-ID"])
        mail.set_content(f"Chiuso\n\n{text}\n" if closed else f"{text}\n")
        await mailboxes.write(self._peer, mail, self.address)


class ByWebhook(Office):
    """A program with an HTTP address; posts its answers back."""

    def __init__(self, server: OfficeServer) -> None:
        self._server = server
        self.connector = (
            f'{{ type = "webhook", url = "{server.url}",'
            ' secrets = [{ env = "STRADE" }] }'
        )

    def _events(self) -> list[dict[str, Any]]:
        return [
            Webhook(SECRET).verify(each.body, each.headers)["data"]
            for each in self._server.requests
        ]

    async def get(self, mark: str) -> Report:
        data = await _until(
            lambda: next(
                (d for d in self._events() if mark in d["message"]["text"]), None
            )
        )
        assert ["image/jpeg"] == [each["media_type"] for each in data["files"]]
        return Report(text=data["message"]["text"])

    async def get_place(self) -> str:
        return str(
            await _until(
                lambda: next(
                    (p for d in self._events() if (p := d["message"]["location"])), None
                )
            )
        )

    async def say(self, number: str, text: str, *, closed: bool = False) -> None:
        body = _answer(number, text, closed=closed)
        at, webhook_id = datetime.now(UTC), str(uuid4())
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(webhook_id, at, body.decode()),
        }
        url = f"http://127.0.0.1:{self.port}/channels/sistemi/answers/strade"
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=body, headers=headers) as response,
        ):
            assert 202 == response.status, await response.text()


def _answer(number: str, text: str, *, closed: bool) -> bytes:
    said = {"case": number, "text": text} | ({"status": "closed"} if closed else {})
    return json.dumps(said).encode()


class ByFolder(Office):
    """Looks into a share, and lays its answers down there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.connector = f'{{ type = "maildrop", path = "{folder}", answers = true }}'

    def _got(self) -> list[tuple[Path, dict[str, Any]]]:
        files = self._folder.glob("*/message.json")
        return [(file.parent, json.loads(file.read_bytes())) for file in files]

    async def get(self, mark: str) -> Report:
        place, data = await _until(
            lambda: next(
                (e for e in self._got() if mark in e[1]["message"]["text"]), None
            )
        )
        photos = [file.read_bytes() for file in place.glob("*.jp*g")]
        return Report(text=data["message"]["text"], photos=photos)

    async def get_place(self) -> str:
        return str(
            await _until(
                lambda: next(
                    (p for _, d in self._got() if (p := d["message"]["location"])), None
                )
            )
        )

    async def say(self, number: str, text: str, *, closed: bool = False) -> None:
        file = self._folder / "answers" / f"{uuid4()}.json"
        file.write_bytes(_answer(number, text, closed=closed))


class ByOpen311(Office):
    """A system that others report to by GeoReport v2."""

    def __init__(self, server: GeoReport) -> None:
        self._server = server
        keys = (
            f'base_url = "{server.url}", api_key = {{ env = "KEY" }}',
            f'jurisdiction_id = "{CITY}", service_code = "001"',
            'attributes = { SIZE = "L" }',
            'address_string = "Municipio"',
        )
        self.connector = f'{{ type = "open311", {", ".join(keys)} }}'

    def _requests(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self._server.requests.items())

    async def get(self, mark: str) -> Report:
        self._mark = mark
        _, row = await _until(
            lambda: next(
                (e for e in self._requests() if mark in e[1]["description"]), None
            )
        )
        return Report(text=row["description"])

    async def get_place(self) -> str:
        return str(
            await _until(
                lambda: next(
                    ((r["lat"], r["long"]) for _, r in self._requests() if r["lat"]),
                    None,
                )
            )
        )

    async def say(self, number: str, text: str, *, closed: bool = False) -> None:
        for request, row in self._requests():
            if self._mark in row["description"]:
                self._server.update(request, "closed" if closed else "open", text)
            elif closed:
                # What came besides, here the position, is a request of its own.
                self._server.update(request, "closed")


@asynccontextmanager
async def office(kind: str, folder: Path, peer: Any) -> AsyncIterator[Office]:
    """Open the office that is reached by a connector of this kind."""
    match kind:
        case "email":
            yield ByMail(peer)
        case "webhook":
            async with office_server() as server:
                yield ByWebhook(server)
        case "maildrop":
            yield ByFolder(folder / "strade")
        case _:
            async with georeport() as reports:
                yield ByOpen311(reports)


SECRETS = {"STRADE": SECRET, "KEY": KEY}
