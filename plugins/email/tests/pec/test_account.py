"""Set-up of a PEC mailbox, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailPlugin, PecChannel, PecConnectorConfig
from gateway_email.pec import trust
from gateway_email.pec.account import pec
from pec_authority import authority, provider
from pydantic import ValidationError

from gateway.config.references import ids_of
from gateway.errors import DeliveryError
from gateway.model import Address, ChannelId, HealthStatus, Outgoing, ServiceId

MakeChannel = Callable[..., PecChannel]


def test_trust_list_may_be_a_folder(tmp_path: Path, pec_channel: MakeChannel):
    """PEM and DER side by side; other files there do not matter."""
    one, two = authority("Una"), authority("Due")
    (tmp_path / "una.pem").write_bytes(one.pem + two.pem)
    (tmp_path / "due.crt").write_bytes(two.der)
    (tmp_path / "LEGGIMI.txt").write_text("elenco dei gestori")

    assert 3 == len(trust.load(tmp_path))
    assert tmp_path == pec_channel(trust=tmp_path).config.trust


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "can't be read"),
        (b"", "is no certificate"),
        (b"ciao", "is no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is no"),
    ],
)
def test_wrong_trust_list_names_the_file(
    tmp_path: Path, pec_channel: MakeChannel, content: bytes | None, complaint: str
):
    """Whoever starts the gateway reads which file is wrong, and how."""
    file = tmp_path / "elenco.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ValidationError, match=f"elenco.pem.*{complaint}"):
        pec_channel(trust=file)


def test_empty_folder_is_no_trust_list(tmp_path: Path, pec_channel: MakeChannel):
    """A folder without certificates would refuse every envelope."""
    with pytest.raises(ValidationError, match="holds no certificate"):
        pec_channel(trust=tmp_path)


def test_password_of_the_mailbox_needs_tls(pec_channel: MakeChannel):
    """The provider's other server gets it under TLS, too."""
    smtp = {"host": "smtp.pec.test", "security": "none"}
    with pytest.raises(ValidationError, match="a password needs TLS"):
        pec_channel(smtp=smtp)


async def test_expired_trust_list_is_said(tmp_path: Path, pec_channel: MakeChannel):
    """Nothing would be believed: `gateway check` says so."""
    root = authority("AC")
    past = datetime.now(UTC) - timedelta(days=1)
    old = provider(root, "posta-certificata@pec.test", end=past)
    file = tmp_path / "elenco.pem"
    file.write_bytes(old.pem)
    health = pec_channel(trust=file)._trust_health()
    file.write_bytes(old.pem + root.pem)
    renewed = pec_channel(trust=file)._trust_health()

    assert HealthStatus.DEGRADED is health.status
    assert "all 1 certificate(s) have expired" in health.text
    assert HealthStatus.OK is renewed.status


def test_office_names_a_pec_mailbox_that_is_there():
    """The complaint lists the mailboxes from which one can write."""
    ids = ids_of(
        {"channels": {"posta": {"type": "email"}, "registrata": {"type": "pec"}}}
    )
    values = {"channel": "posta", "to": ["ente@pec.test"]}

    with pytest.raises(ValidationError, match="one of: registrata"):
        PecConnectorConfig.model_validate(values, context=ids)
    with pytest.raises(ValidationError, match=r"one of: \(there is none\)"):
        PecConnectorConfig.model_validate(values, context=ids_of({}))
    good = values | {"channel": "registrata"}
    assert PecConnectorConfig.model_validate(good, context=ids)


def test_only_certified_senders_answer_for_an_office(
    context: Any, pec_channel: MakeChannel
):
    """The same address in ordinary mail is somebody else's word."""
    plugin = EmailPlugin()
    plugin._accounts[ChannelId("pec")] = pec_channel().account
    config = PecConnectorConfig(channel=ChannelId("pec"), to=["Ente@pec.test"])
    connector = plugin._write_pec(ServiceId("ente"), config, context())

    assert connector.may_answer(pec("ente@PEC.test"))
    assert not connector.may_answer(Address("mailto", "ente@pec.test"))
    assert not connector.may_answer(pec("altri@pec.test"))


async def test_what_is_no_address_is_not_sent(pec_channel: MakeChannel):
    """It is said to be wrong, once and for all."""
    outgoing = Outgoing(
        delivery_id="0198f2a4-7c1e-7b3a-9d55-0123456789ab",
        attempt=1,
        created_at=datetime.now(UTC),
        to=Address("pec", "maria"),
        text="Ciao",
    )
    with pytest.raises(DeliveryError, match="bad_address"):
        await pec_channel().send(outgoing)
