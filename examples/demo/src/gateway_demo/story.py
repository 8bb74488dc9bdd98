"""The story: four reports and an insult come in, offices get them, one answers.

Two of the citizens are asked what theirs is about.
"""

from __future__ import annotations

import asyncio
import email
import hashlib
import json
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from importlib import resources
from typing import Any

import aiosmtplib
from gateway_whatsapp.simulator import SentMessage

from gateway_demo.narrator import Narrator
from gateway_demo.stage import DOMAIN, SMTP_PORT, Scene, StageError

DATA = resources.files("gateway_demo") / "data"
PATIENCE = 30.0
"""Seconds to wait for a step before the story counts as broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citizen:
    """Somebody with a telephone."""

    name: str
    number: str


ANNA = Citizen(name="Anna", number="393331110001")
MARCO = Citizen(name="Marco", number="393331110002")
GIULIA = Citizen(name="Giulia", number="393331110003")
PAOLO = Citizen(name="Paolo", number="393331110004")
UGO = Citizen(name="Ugo", number="393331110005")


async def tell(scene: Scene, narrator: Narrator) -> None:
    """Tell the whole story.

    Raises:
        StageError: something did not happen that should have.

    """
    narrator.heading("Citizens write on WhatsApp")
    photo = (DATA / "buca.jpg").read_bytes()
    await _write(scene, narrator, photo)
    narrator.heading("Each gets an answer at once")
    await _read_notices(scene, narrator)
    narrator.heading("Who was asked chooses")
    await _choose(scene, narrator)
    narrator.heading("The offices get their mail")
    mail = await _office_reads(scene, narrator, photo)
    narrator.heading("The office answers that e-mail")
    await _office_answers(narrator, mail)
    await _citizen_reads(scene, narrator)
    narrator.heading("What is on record")
    await _summary(scene, narrator)


async def _write(scene: Scene, narrator: Narrator, photo: bytes) -> None:
    api = scene.api
    picture = api.add_media(photo, "image/jpeg")
    voice = api.add_media((DATA / "voce.ogg").read_bytes(), "audio/ogg; codecs=opus")
    said: list[tuple[Citizen, str, dict[str, Any]]] = [
        _text(scene, ANNA, "Buongiorno, i cassonetti di via Quirra sono stracolmi."),
        (
            MARCO,
            "[foto] Buca profonda in via Dante 40",
            api.image(
                MARCO.number, picture, "Buca profonda in via Dante 40", name=MARCO.name
            ),
        ),
        (
            GIULIA,
            "[messaggio vocale]",
            api.voice(GIULIA.number, voice, name=GIULIA.name),
        ),
        (
            PAOLO,
            "[posizione] Piazza Yenne",
            api.location(
                PAOLO.number, 39.2162, 9.1107, place="Piazza Yenne", name=PAOLO.name
            ),
        ),
        _text(scene, UGO, "Il sindaco è uno stronzo"),
    ]
    for citizen, shown, payload in said:
        await _post(scene, payload)
        narrator.say("citizen", f"{citizen.name}: {shown}")


async def _post(scene: Scene, payload: dict[str, Any]) -> None:
    status, _ = await scene.api.webhook(payload)
    if status != 200:  # noqa: PLR2004 (HTTP OK)
        raise StageError(f"the gateway answered {status} to a webhook")


def _text(scene: Scene, who: Citizen, body: str) -> tuple[Citizen, str, dict[str, Any]]:
    return who, body, scene.api.text(who.number, body, name=who.name)


async def _read_notices(scene: Scene, narrator: Narrator) -> None:
    for sent in await scene.api.wait_sent(5, PATIENCE):
        buttons = "".join(f" [{title}]" for _, title in sent.menu)
        narrator.say("citizen", f"{_name(sent)} reads: «{sent.text}»{buttons}")


async def _choose(scene: Scene, narrator: Narrator) -> None:
    """Let the two whose messages hold no word tap what theirs is about."""
    for citizen, title in ((GIULIA, "Altro"), (PAOLO, "Strade e lampioni")):
        (asked,) = [s for s in scene.api.sent if s.number == citizen.number]
        options = {shown: option for option, shown in asked.menu}
        payload = scene.api.choose(
            citizen.number, asked, options[title], name=citizen.name
        )
        await _post(scene, payload)
        narrator.say("citizen", f"{citizen.name} taps: {title}")
    for sent in (await scene.api.wait_sent(7, PATIENCE))[5:]:
        narrator.say("citizen", f"{_name(sent)} reads: «{sent.text}»")


def _name(sent: SentMessage) -> str:
    by_number = {c.number: c.name for c in (ANNA, MARCO, GIULIA, PAOLO, UGO)}
    return by_number[sent.number]


async def _office_reads(scene: Scene, narrator: Narrator, photo: bytes) -> EmailMessage:
    """Wait for the mail with the photo; the other offices' mail comes meanwhile."""
    for office, count in (("rifiuti", 1), ("ufficio", 1), ("strade", 2)):
        mails = await _mails(scene, office, count)
        for each in mails:
            narrator.say("office", f"{office}@{DOMAIN}: {each['Subject']}")
    (mail,) = [each for each in mails if [*each.iter_attachments()]]
    files = [part.get_content() for part in mail.iter_attachments()]
    if files != [photo]:
        raise StageError("the photo did not arrive as it was sent")
    digest = hashlib.sha256(photo).hexdigest()[:16]
    narrator.say("office", f"with the photo, {len(photo)} bytes, SHA-256 {digest}…")
    return mail


async def _mails(scene: Scene, office: str, count: int) -> list[EmailMessage]:
    address = f"{office}@{DOMAIN}"
    try:
        async with asyncio.timeout(PATIENCE):
            while len(raw := await scene.mail.mails(address)) < count:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise StageError(f"no mail for {address}") from None
    return [email.message_from_bytes(each, policy=default) for each in raw]


async def _office_answers(narrator: Narrator, mail: EmailMessage) -> None:
    """Answer as a mail program does: to Reply-To, quoting the subject."""
    answer = EmailMessage()
    answer["From"] = f"strade@{DOMAIN}"
    answer["To"] = mail["Reply-To"]
    answer["Subject"] = f"Re: {mail['Subject']}"
    answer["In-Reply-To"] = mail["Message-ID"]
    answer["Message-ID"] = f"<risposta-1@{DOMAIN}>"
    text = "La squadra ripara la buca domani mattina. Grazie della segnalazione."
    answer.set_content(text)
    await aiosmtplib.send(answer, hostname="127.0.0.1", port=SMTP_PORT)
    narrator.say("office", f"strade@{DOMAIN} answers: «{text}»")


async def _citizen_reads(scene: Scene, narrator: Narrator) -> None:
    *_, answer = await scene.api.wait_sent(8, PATIENCE)
    if answer.number != MARCO.number:
        raise StageError("the answer went to the wrong citizen")
    narrator.say("citizen", f"{_name(answer)} reads: «{answer.text}»")


async def _summary(scene: Scene, narrator: Narrator) -> None:
    cases = json.loads(await scene.command("cases", "list", "--json"))
    held = json.loads(
        await scene.command("messages", "list", "--state", "held", "--json")
    )
    sent = {
        s.text.split("URP-")[1][:11]: _name(s)
        for s in scene.api.sent
        if "URP-" in s.text
    }
    rows = [
        (
            case["number"],
            sent.get(case["number"].removeprefix("URP-"), ""),
            case["service"],
            case["status"],
        )
        for case in sorted(cases, key=lambda case: str(case["number"]))
    ]
    narrator.summary(rows)
    for message in held:
        narrator.say("staff", f"held, for a person to judge: {message['reason']}")
    narrator.say("gateway", (await scene.command("audit", "verify")).strip())
