"""Whole gateways on Postfix and Dovecot: machines that write to machines, bounces."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from small_towns import rows_of, town, until, write

from gateway.store import schema

_LEASE_OF_THE_DEAD = "INSERT INTO lease VALUES ('channel:posta', 'dead', 1e17)"


def _inbound(rows: list[Any]) -> list[str]:
    return [row.state for row in rows if row.direction == "in"]


async def test_two_gateways_fall_silent_by_themselves(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Each keeps the other's notice for staff, and answers it with nothing."""
    one = town(mail_server, tmp_path / "one", "uno", monkeypatch)
    two = town(mail_server, tmp_path / "two", "due", monkeypatch)
    async with one as uno, two as due:
        await write(mail_server, "posta@due.test", "posta@uno.test")
        await until(due, schema.message, lambda rows: _inbound(rows) == ["held"])
        await write(mail_server, "posta@uno.test", "posta@due.test")
        both = ["held", "processed"]
        for gateway in (uno, due):
            await until(
                gateway, schema.message, lambda rows: sorted(_inbound(rows)) == both
            )
        await asyncio.sleep(2)

        for gateway in (uno, due):
            rows = await rows_of(gateway, schema.message)
            assert both == sorted(_inbound(rows))
            sent = await rows_of(gateway, schema.delivery)
            assert ["handover", "notice"] == sorted(each.purpose for each in sent)
            assert [] == await rows_of(gateway, schema.dead_letter)


async def test_bounce_of_postfix_fails_its_delivery(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """What Postfix took and could not deliver is shown to staff, with its code."""
    folder = tmp_path / "one"
    async with town(mail_server, folder, "uno", monkeypatch) as uno:
        await write(mail_server, "maria@nessuno.test", "posta@uno.test")
        rows = await until(
            uno,
            schema.delivery,
            lambda rows: "failed" in [each.state for each in rows],
        )

        failed = [each for each in rows if each.state == "failed"]
        assert [("notice", "5.7.1")] == [(each.purpose, each.code) for each in failed]
        (letter,) = await rows_of(uno, schema.dead_letter)
        assert ("5.7.1", failed[0].id) == (letter.code, letter.subject)
        assert 1 == len(_inbound(await rows_of(uno, schema.message)))


async def test_out_of_office_replies_reach_nobody(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """An office's and a citizen's are held for staff, beside the case they answer."""
    folder, own = tmp_path / "one", "posta@uno.test"
    async with town(mail_server, folder, "uno", monkeypatch) as uno:
        await write(mail_server, "posta@due.test", own)
        sent = await until(
            uno, schema.delivery, lambda rows: ["sent"] * 2 == [r.state for r in rows]
        )
        ids = {each.purpose: each.external_id for each in sent}
        senders = {"handover": "ufficio@uno.test", "notice": "posta@due.test"}
        for purpose, sender in senders.items():
            fields = {"In_Reply_To": ids[purpose], "Auto_Submitted": "auto-replied"}
            await write(mail_server, sender, own, **fields)
        states = ["held", "held", "processed"]
        rows = await until(
            uno, schema.message, lambda rows: sorted(_inbound(rows)) == states
        )

        held = [row for row in rows if row.state == "held"]
        assert {"automatic mail"} == {row.reason for row in held}
        assert ["citizen", "service"] == sorted(row.author for row in held)
        assert 2 == len(await rows_of(uno, schema.delivery))


async def test_mail_is_read_at_once_after_a_restart(
    mail_server: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """After a stop, and after a kill that left its lease behind."""
    folder, own = tmp_path / "one", "posta@uno.test"
    async with town(mail_server, folder, "uno", monkeypatch):
        pass
    for count in (1, 2):
        await write(mail_server, f"{count}@due.test", own)
        async with town(mail_server, folder, "uno", monkeypatch) as uno:
            wanted = ["processed"] * count
            await until(
                uno, schema.message, lambda r, w=wanted: _inbound(r) == w, seconds=10
            )
        with sqlite3.connect(folder / "gateway.db") as database:
            database.execute(_LEASE_OF_THE_DEAD)
