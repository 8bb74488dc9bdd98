"""The citizen has been silent for too long on WhatsApp: the answer comes by e-mail.

With a real mail server and the simulated Cloud API; no template is configured.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import citizens
import mailboxes
import offices
import pytest
from sqlalchemy import Connection, update
from test_story import city, rows

from gateway import consents, contacts, people
from gateway.consents import Agreement
from gateway.store import schema

pytestmark = pytest.mark.long

MAIL = citizens.ByMail.address


async def test_answer_to_who_wrote_too_long_ago(
    tmp_path: Path, mail_server: Any, monkeypatch: Any
):
    """By mail, once, with how to stop it; and what they reply joins the case."""
    secrets = {
        "PEER_PASSWORD": mail_server.password,
        "PEER_KEY": "0123456789abcdef",
        "TOKEN": "the-token",
        "SECRET": "testappsecret",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    mark = f"T{uuid4().hex[:8].upper()}"
    async with (
        offices.office("email", tmp_path, mail_server) as office,
        city(tmp_path, mail_server, office.connector, mark) as running,
    ):
        gateway, meta, _, _ = running
        citizen = citizens.OnWhatsApp(meta)
        await citizen.say(f"Una buca {mark} in via Roma.")
        notice = await citizen.hear(f"{mark}-")
        (number,) = set(re.findall(rf"{mark}-\d{{4}}-\d{{6}}", notice))
        await office.get(f"Una buca {mark}")
        await gateway.store.run(lambda c: _agree(c, number))
        told = len(meta.sent)
        await office.say(number, f"Arriviamo domani. [{mark}]")

        mail = await mailboxes.read(mail_server, MAIL, f"Arriviamo domani. [{mark}]")
        assert number in str(mail["Subject"])
        assert "risposte via e-mail no" in mailboxes.words(mail)
        assert told == len(meta.sent)
        answers = {
            (row.target, row.state, row.rung)
            for row in await rows(gateway, schema.delivery)
            if row.purpose == "answer"
        }
        assert ("channel:whatsapp", "passed_on", None) in answers
        assert ["channel:posta"] == [to for to, _, rung in answers if rung]

        await mailboxes.write(mail_server, _reply(mail, f"Grazie {mark}!"), MAIL)
        more = await office.get(f"Grazie {mark}!")
        assert "Grazie" in more.text
        assert [number] == [row.number for row in await rows(gateway, schema.cases)]
        assert [] == await rows(gateway, schema.dead_letter)


def _agree(connection: Connection, number: str) -> None:
    """Let staff note the address, and let two days pass since the citizen wrote."""
    who = people.by_case(connection, number)
    contacts.add_address(connection, who, f"mailto:{MAIL}", "staff")
    agreement = Agreement(
        contact_id=who, uri=f"mailto:{MAIL}", channel="posta", by="staff", note="modulo"
    )
    consents.give(connection, agreement)
    ago = datetime.now(UTC) - timedelta(days=2)
    connection.execute(update(schema.conversation).values(last_inbound_at=ago))


def _reply(mail: EmailMessage, text: str) -> EmailMessage:
    reply = EmailMessage()
    reply["From"], reply["To"] = MAIL, str(mail["Reply-To"])
    reply["Subject"] = f"Re: {mail['Subject']}"
    reply["Message-ID"] = f"<{uuid4()}@casa.test>"
    reply["In-Reply-To"] = str(mail["Message-ID"])
    reply.set_content(text)
    return reply
