"""A citizen on each channel: writes with a photo, and reads what comes back."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from uuid import uuid4

import mailboxes
from gateway_whatsapp.simulator import CloudApiSimulator
from mailboxes import PATIENCE
from pec_provider import Network

PHOTO = Path(__file__).parents[1] / "attachments" / "data" / "exif.jpg"
PLACE = (39.2153, 9.1107)


class Citizen(ABC):
    """Somebody who lives in the city."""

    has_position = False
    """Whether the channel tells where the citizen is."""

    @abstractmethod
    async def report(self, text: str) -> None:
        """Report something, with a photo, and the position where that can be."""

    @abstractmethod
    async def say(self, text: str) -> None:
        """Say something more."""

    @abstractmethod
    async def hear(self, *needles: str) -> str:
        """Wait for a message with all these words; return it."""


class OnWhatsApp(Citizen):
    """Writes to the number of the office."""

    has_position = True

    def __init__(self, meta: CloudApiSimulator) -> None:
        self._meta = meta
        self._number = f"39329{uuid4().int % 10**7:07d}"

    async def report(self, text: str) -> None:
        meta, number = self._meta, self._number
        photo = meta.add_media(PHOTO.read_bytes(), "image/jpeg")
        webhooks = [meta.location(number, *PLACE), meta.image(number, photo, text)]
        for each in webhooks:
            assert 200 == (await meta.webhook(each))[0]

    async def say(self, text: str) -> None:
        assert 200 == (await self._meta.webhook(self._meta.text(self._number, text)))[0]

    async def hear(self, *needles: str) -> str:
        async with asyncio.timeout(PATIENCE):
            while True:
                for sent in self._meta.sent:
                    if all(needle in sent.text for needle in needles):
                        assert self._number in (sent.to, sent.number)
                        return sent.text
                await asyncio.sleep(0.05)


def _mail(sender: str, recipient: str, text: str) -> EmailMessage:
    subject, _, rest = text.partition(":")
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, subject
    mail["Message-ID"] = f"<{uuid4()}@casa.test>"
    mail.set_content(rest.strip())
    return mail


def _with_photo(mail: EmailMessage) -> EmailMessage:
    mail.add_attachment(
        PHOTO.read_bytes(), maintype="image", subtype="jpeg", filename="buca.jpg"
    )
    return mail


class ByMail(Citizen):
    """Writes from an ordinary mailbox."""

    address = "cittadino@comune.test"

    def __init__(self, peer: Any) -> None:
        self._peer = peer

    async def report(self, text: str) -> None:
        mail = _with_photo(_mail(self.address, "posta@uno.test", text))
        await mailboxes.write(self._peer, mail, self.address)

    async def say(self, text: str) -> None:
        mail = _mail(self.address, "posta@uno.test", text)
        await mailboxes.write(self._peer, mail, self.address)

    async def hear(self, *needles: str) -> str:
        return mailboxes.words(await mailboxes.read(self._peer, self.address, *needles))


class ByPec(Citizen):
    """Writes from a mailbox of registered mail to that of the city."""

    def __init__(self, network: Network, city: str) -> None:
        self._network = network
        self._city = city
        self._address = f"maria-{uuid4().hex[:8]}@pec-due.test"

    async def _submit(self, mail: EmailMessage) -> None:
        await self._network.submit(self._address, [self._city], mail.as_bytes())

    async def report(self, text: str) -> None:
        await self._submit(_with_photo(_mail(self._address, self._city, text)))

    async def say(self, text: str) -> None:
        await self._submit(_mail(self._address, self._city, text))

    async def hear(self, *needles: str) -> str:
        async with asyncio.timeout(PATIENCE):
            while True:
                for sent in self._network.submitted:
                    said = _read(sent)
                    ours = (
                        sent.sender == self._city and self._address in sent.recipients
                    )
                    if ours and all(needle in said for needle in needles):
                        return said
                await asyncio.sleep(0.1)


def _read(sent: Any) -> str:
    mail = BytesParser(policy=policy.default).parsebytes(sent.raw)
    return f"{mail['Subject']}\n{mailboxes.words(mail)}"
