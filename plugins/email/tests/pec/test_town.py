"""Whole gateways between providers of registered mail, on Postfix and Dovecot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pec_authority import authority, provider
from pec_provider import PROVIDERS, Network
from pec_town import Town
from typer.testing import CliRunner

from gateway import awaited, dead_letters
from gateway.cli.main import app
from gateway.store import schema

pytestmark = pytest.mark.long

NOTICE = "channel:pec"
HANDOVER = "service:ente"


@pytest.fixture
async def town(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> AsyncIterator[Town]:
    """A running town."""
    network = Network(mail_server)
    async with Town(network=network, folder=tmp_path).running(monkeypatch) as running:
        yield running


def _inbound(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row.direction == "in"]


async def test_from_citizen_to_office_and_back(town: Town):
    """All by PEC: each answer finds its case by the provider's id, all is delivered."""
    await town.write(town.maria, "L'acqua è torbida in via Po.")
    handed = await town.received(town.office)
    await town.delivery(HANDOVER, "delivered")
    await town.write(
        town.office,
        "Abbiamo lavato la condotta.",
        In_Reply_To=handed["Message-ID"],
        Subject="Re: acqua",
    )
    answer = await town.received(town.maria, "lavato")
    rows = await town.until(
        schema.delivery, lambda rows: ["delivered"] * 3 == [r.state for r in rows]
    )
    await town.write(
        town.maria, "Grazie, ora è limpida.", In_Reply_To=answer["Message-ID"]
    )
    await town.received(town.office, "limpida")
    await town.evidence(8)

    assert 1 == len(await town.rows(schema.cases))
    assert [] == await town.rows(schema.dead_letter)
    assert all(town.us in str(mail["From"]) for mail in (handed, answer))
    assert (None, "completa") == (answer["Reply-To"], answer["X-TipoRicevuta"])
    assert "Posta certificata" in handed.get_body().get_content()
    assert ["answer", "handover", "notice"] == sorted(row.purpose for row in rows)
    for row in rows:
        assert ["accettazione", "avvenuta-consegna"] == await town.codes(row)


async def test_evidence_is_listed_and_exported(town: Town, monkeypatch: Any):
    """`gateway cases` shows the receipts; their files are what the provider signed."""
    await town.write(town.maria, "L'acqua è torbida.")
    await town.delivery(HANDOVER, "delivered")
    await town.delivery(NOTICE, "delivered")
    receipts = await town.evidence(4)
    (case,) = await town.rows(schema.cases)
    originals = {row.id: row.body for row in await town.rows(schema.original)}
    items = {row.id: row.original_id for row in await town.rows(schema.inbox)}
    kept = {originals[items[row.inbox_id]] for row in receipts}

    monkeypatch.chdir(town.folder)
    run = CliRunner().invoke
    folder = town.folder / "prove"
    words = ("receipts", case.number, str(folder))
    shown = await asyncio.to_thread(run, app, ["cases", "show", case.number])
    written = await asyncio.to_thread(run, app, ["cases", *words])

    assert (0, 0) == (shown.exit_code, written.exit_code), written.output
    assert "avvenuta-consegna" in shown.output
    files = sorted(folder.iterdir())
    assert 4 == len(files)
    assert kept == {file.read_bytes() for file in files}
    assert "accettazione" in files[0].name
    assert all(file.suffix == ".eml" for file in files)


async def test_what_can_not_be_delivered_is_told_to_staff(town: Town):
    """The code of the non-delivery is the dead letter's."""
    town.network.habits.failures[town.maria] = (
        "altro",
        "5.2.2 - Gestore Due - casella piena",
    )
    await town.write(town.maria, "L'acqua è torbida.")
    failed = await town.delivery(NOTICE, "failed")
    await town.delivery(HANDOVER, "delivered")
    await town.evidence(4)

    (letter,) = await town.rows(schema.dead_letter)
    assert ("5.2.2", failed.id) == (letter.code, letter.subject)
    assert ["5.2.2", "accettazione"] == await town.codes(failed)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (("altro", "5.6.0 - Gestore Uno - formato"), "5.6.0"),
        (("virus", ""), "virus"),
    ],
)
async def test_what_our_provider_refuses_has_failed(
    town: Town, refusal: tuple[str, str], code: str
):
    """Non-acceptance, also for a virus, is final."""
    town.network.habits.refusal = refusal
    await town.write(town.maria, "L'acqua è torbida.")
    failed = [await town.delivery(target, "failed") for target in (NOTICE, HANDOVER)]

    assert {code} == {each.code for each in failed}
    letters = await town.rows(schema.dead_letter)
    assert {each.id: code for each in failed} == {
        letter.subject: letter.code for letter in letters
    }


async def test_missing_receipt_raises_the_alarm_after_the_legal_time(town: Town):
    """Accepted and never reported: silent for a day, then a dead letter."""
    town.network.habits.reports = False
    await town.write(town.maria, "L'acqua è torbida.")
    await town.evidence(2)
    town.clock.ahead = timedelta(hours=24, minutes=30)
    monitor = town.gateway.monitor
    before = await monitor.readiness()
    town.clock.ahead = timedelta(hours=25, minutes=5)
    letters = await town.until(schema.dead_letter, lambda rows: 2 == len(rows))
    after = await monitor.readiness()

    assert {"late": 0, "missing": 0} == before.receipts
    assert {("no_receipt", awaited.MISSING)} == {(x.code, x.queue) for x in letters}
    assert {"late": 0, "missing": 2} == after.receipts
    assert "degraded" == after.status.value
    states = {row.state for row in await town.rows(schema.delivery)}
    assert {"sent"} == states


async def test_silent_provider_is_warned_of_after_a_quarter_of_an_hour(town: Town):
    """No acceptance: a warning first; when the receipts come, it is over."""
    town.network.habits.accepts = False
    await town.write(town.maria, "L'acqua è torbida.")
    await town.until(
        schema.delivery, lambda rows: ["sent"] * 2 == [row.state for row in rows]
    )
    for address in (town.maria, town.office):
        await town.received(address)
    before = await town.overdue("late", 0)
    town.clock.ahead = timedelta(minutes=16)
    late = await town.overdue("late", 2)
    for sent in town.network.submitted:
        if sent.sender == town.us:
            await town.network.say(sent, "accettazione")
    after = await town.overdue("late", 0)

    assert [{"late": n, "missing": 0} for n in (0, 2, 0)] == [before, late, after]
    assert [] == await town.rows(schema.dead_letter)


async def test_notice_of_twelve_hours_is_a_warning(town: Town):
    """It fails nothing; the delivery may still come."""
    town.network.habits.delays = True
    await town.write(town.maria, "L'acqua è torbida.")
    await town.received(town.office)
    late = await town.overdue("late", 2)
    waiting = await town.delivery(HANDOVER, "sent")
    sent = next(s for s in town.network.submitted if town.office in s.recipients)
    await town.network.say(sent, "avvenuta-consegna", consigned=town.office)
    delivered = await town.delivery(HANDOVER, "delivered")

    assert {"late": 2, "missing": 0} == late
    assert waiting.id == delivered.id
    assert {"late": 1, "missing": 0} == await town.overdue("late", 1)
    assert [] == await town.rows(schema.dead_letter)


def _without(raw: bytes) -> bytes:
    return raw.replace(b"stato consegnato", b"stato perduto")


@pytest.mark.parametrize("fault", ["stranger", "expired", "altered"])
async def test_receipts_that_do_not_verify_change_nothing(town: Town, fault: str):
    """They are kept for staff with the reason; the delivery waits on."""
    habits, signer = town.network.habits, PROVIDERS["pec-due.test"]
    match fault:
        case "stranger":
            forge = provider(authority("AC di un estraneo"), signer)
        case "expired":
            past = datetime(2021, 1, 1, tzinfo=UTC)
            forge = provider(town.network.root, signer, end=past)
        case _:
            forge = None
    habits.reports = False
    await town.write(town.maria, "L'acqua è torbida.")
    handed = await town.delivery(HANDOVER, "sent")
    await town.until(
        schema.receipt, lambda rows: "accettazione" in [row.code for row in rows]
    )
    sent = next(s for s in town.network.submitted if town.office in s.recipients)
    habits.forge = forge
    habits.tamper = _without if fault == "altered" else lambda raw: raw
    await town.network.say(sent, "avvenuta-consegna", consigned=town.office)
    (letter,) = await town.until(schema.dead_letter, bool)

    assert "pec_not_trusted" == letter.code
    assert "smime.p7s" in letter.reason
    states = {row.id: row.state for row in await town.rows(schema.delivery)}
    assert "sent" == states[handed.id]
    assert "avvenuta-consegna" not in await town.codes(handed)


async def test_receipt_forged_by_a_citizen_is_only_their_message(town: Town):
    """Within an envelope X-Ricevuta says nothing: it is held, and moves nothing."""
    town.network.habits.reports = False
    await town.write(town.maria, "L'acqua è torbida.")
    handed = await town.delivery(HANDOVER, "sent")
    await town.write(
        town.maria,
        "Consegnato.",
        X_Ricevuta="avvenuta-consegna",
        X_Riferimento_Message_ID=str(handed.external_id),
    )
    rows = await town.until(schema.message, lambda rows: 2 == len(_inbound(rows)))

    held = [row for row in _inbound(rows) if row.state == "held"]
    assert ["automatic mail"] == [row.reason for row in held]
    assert "avvenuta-consegna" not in await town.codes(handed)


async def test_ordinary_mail_in_the_pec_mailbox_is_told_apart(town: Town):
    """The office reads that nobody certifies who wrote."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = "luca@example.it", town.us, "Acqua"
    mail["Message-ID"] = "<1@example.it>"
    mail.set_content("Anche da me.")
    await town.network.anomaly(town.us, mail.as_bytes())
    handed = await town.received(town.office)

    (contact,) = await town.rows(schema.address)
    assert "mailto:luca@example.it" == contact.uri
    assert "non è certificato" in handed.get_body().get_content()
    assert "luca@example.it" in handed.get_body().get_content()


async def test_nobody_but_the_certified_office_answers_for_it(town: Town):
    """Ordinary mail in the office's name is held, though it knows the id."""
    await town.write(town.maria, "L'acqua è torbida.")
    handed = await town.received(town.office)
    await town.delivery(HANDOVER, "delivered")
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = town.office, town.us, "Re: Acqua"
    mail["In-Reply-To"] = handed["Message-ID"]
    mail.set_content("Pagate mille euro.")
    await town.network.anomaly(town.us, mail.as_bytes())
    rows = await town.until(schema.message, lambda rows: 2 == len(_inbound(rows)))

    states = {row.author: row.state for row in _inbound(rows)}
    assert {"citizen": "processed", "service": "held"} == states


async def test_office_with_two_addresses_has_it_once_both_have(town: Town):
    """One PEC to both: the first provider's word is not yet the end."""
    second = f"due-{town.office}"
    town.gateway.connectors["ente"][0].config.to.append(second)
    town.network.habits.failures[second] = ("altro", "5.4.7 - tempo massimo")
    await town.write(town.maria, "L'acqua è torbida.")
    failed = await town.delivery(HANDOVER, "failed")
    town.network.habits.failures.clear()
    await town.write(town.maria, "È ancora torbida.")
    delivered = await town.delivery(HANDOVER, "delivered")
    await town.evidence(8)

    sent = [s for s in town.network.submitted if second in s.recipients]
    assert [{town.office, second}] * 2 == [set(each.recipients) for each in sent]
    assert ["5.4.7", "accettazione", "avvenuta-consegna"] == await town.codes(failed)
    assert ["accettazione", *["avvenuta-consegna"] * 2] == await town.codes(delivered)


async def test_ordinary_mailbox_gives_no_word_and_none_is_missed(town: Town):
    """Accepted is all that comes of mail to who has no PEC."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = "cittadino@comune.test", town.us, "Ciao"
    mail.set_content("Anche da me.")
    await town.network.anomaly(town.us, mail.as_bytes())
    sent = await town.delivery(NOTICE, "sent")
    await town.delivery(HANDOVER, "delivered")
    await town.evidence(3)

    assert ["accettazione"] == await town.codes(sent)
    watched = [job.subject for job in await town.rows(schema.job)]
    assert [] == watched


async def test_check_tries_both_servers_and_sends_nothing(town: Town):
    """Logins and trust list are looked at; a wrong one is named."""
    channel = town.gateway.channels["pec"]
    (connector,) = town.gateway.connectors["ente"]
    healthy = [await channel.check(), await connector.check()]
    trust_list = town.folder / "trust.pem"
    trust_list.write_text("")
    unread = await channel.check()

    assert ["ok", "ok"] == [each.status.value for each in healthy]
    assert "down" == unread.status.value
    assert "trust.pem is no certificate" in unread.text
    assert [] == town.network.submitted


async def test_right_trust_list_makes_a_refused_mail_readable(town: Town):
    """Nothing is lost by a wrong list: the dead letter is tried again."""
    trust_list = town.folder / "trust.pem"
    right = trust_list.read_bytes()
    trust_list.write_bytes(authority("AC di un altro").pem)
    await town.write(town.maria, "L'acqua è torbida.")
    (letter,) = await town.until(schema.dead_letter, bool)
    trust_list.write_bytes(right)
    await town.gateway.store.run(
        lambda c: dead_letters.resurrect(c, letter.id, "staff")
    )
    await town.delivery(HANDOVER, "delivered")

    assert "pec_not_trusted" == letter.code
    assert "the signer is not on the trust list" in letter.reason
