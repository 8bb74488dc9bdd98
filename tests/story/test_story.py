"""The story of the whole, from the citizen to the office and back, in every way.

A citizen reports a hole in the road when the office is closed, with a photo and, where
that can be, the position. The office gets it, answers, closes the case; the citizen
reads the number, when the office opens again, where the case stands, and the answers.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import citizens
import offices
import pytest
from gateway_delivery import DeliveryPlugin
from gateway_email import EmailPlugin
from gateway_whatsapp import WhatsAppPlugin
from gateway_whatsapp.simulator import CloudApiSimulator
from pec_provider import Network
from sqlalchemy import Connection

from gateway.app import Gateway
from gateway.store import schema
from gateway.testing.kit import running

pytestmark = pytest.mark.long

TOML = (Path(__file__).parent / "story.toml").read_text()
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CHANNELS = ("whatsapp", "email", "pec")
CONNECTORS = ("email", "webhook", "maildrop", "open311")
NUMBER = "1122334455667"


@asynccontextmanager
async def city(
    folder: Path, peer: Any, connector: str, mark: str
) -> AsyncIterator[tuple[Gateway, CloudApiSimulator, Network, str]]:
    """Run a city between Meta, mail servers, providers of PEC and its office."""
    network, pec = Network(peer), f"urp-{mark.lower()}@pec-uno.test"
    network.city = pec
    trust = folder / "trust.pem"
    trust.write_bytes(network.root.pem)
    async with (
        network.serving(),
        CloudApiSimulator(
            app_secret="testappsecret", token="the-token", phone_number_id=NUMBER
        ) as meta,
    ):
        today = datetime.now(ZoneInfo("Europe/Rome")).date()
        toml = TOML.format(
            mark=mark,
            folder=folder,
            peer=peer,
            meta=meta,
            pec=pec,
            trust=trust,
            connector=connector,
            week="\n".join(f'{day} = ["09:00-18:00"]' for day in WEEK),
            today=today,
            tomorrow=today + timedelta(days=1),
        )
        plugins = {
            "whatsapp": WhatsAppPlugin(),
            "email": EmailPlugin(),
            "delivery": DeliveryPlugin(),
        }
        async with running(toml, folder, plugins) as gateway:
            address = f"http://127.0.0.1:{gateway.port}/channels/whatsapp/webhook"
            meta.webhook_url = address
            yield gateway, meta, network, pec


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("connector", CONNECTORS)
async def test_from_the_citizen_to_the_office_and_back(
    channel: str, connector: str, tmp_path: Path, mail_server: Any, monkeypatch: Any
):
    """Every sentence of the story, on every channel, by every connector."""
    secrets = {
        "PEER_PASSWORD": mail_server.password,
        "PEER_KEY": "0123456789abcdef",
        "TOKEN": "the-token",
        "SECRET": "testappsecret",
        **offices.SECRETS,
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    mark = f"T{uuid4().hex[:8].upper()}"
    async with (
        offices.office(connector, tmp_path, mail_server) as office,
        city(tmp_path, mail_server, office.connector, mark) as running,
    ):
        gateway, meta, network, pec = running
        office.port = gateway.port or 0
        citizen: citizens.Citizen = {
            "whatsapp": lambda: citizens.OnWhatsApp(meta),
            "email": lambda: citizens.ByMail(mail_server),
            "pec": lambda: citizens.ByPec(network, pec),
        }[channel]()

        await citizen.report(f"Una buca {mark}: profonda, in via Roma.")
        notice = await citizen.hear(f"{mark}-", "L'ufficio è chiuso; riapre")
        (number,) = set(re.findall(rf"{mark}-\d{{4}}-\d{{6}}", notice))
        report = await office.get(f"Una buca {mark}")
        assert "in via Roma." in report.text
        assert report.photos in (None, [citizens.PHOTO.read_bytes()])
        if citizen.has_position:
            assert "39.2153" in await office.get_place()

        await citizen.say(f"stato {number}")
        assert "Strade" in await citizen.hear(number, "Ufficio: Strade")
        await office.say(number, f"Arriviamo domani. [{mark}]")
        await citizen.hear(f"Arriviamo domani. [{mark}]", number)
        await office.say(number, f"Riparata. [{mark}]", closed=True)
        await citizen.hear(f"Riparata. [{mark}]")
        await citizen.hear(f"La segnalazione {number} è chiusa")

        assert [("closed", number)] == [
            (row.status, row.number) for row in await rows(gateway, schema.cases)
        ]
        assert [] == await rows(gateway, schema.dead_letter)


async def rows(gateway: Gateway, table: Any) -> list[Any]:
    def work(connection: Connection) -> list[Any]:
        return list(connection.execute(table.select()))

    return await gateway.store.read(work)
