"""What staff do at the command line, beside the daemon, and what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from test_daemon import PROBE, daemon, free_port, run

CONFIG = """
[gateway]
name = "Prova"
plugins = ["probe_plugin.py:ProbePlugin", "moderation", "routing"]
default_service = "urp"
[web]
port = {port}
min_free_bytes = 0
[pipeline]
poll_seconds = 0.1
[channels.probe]
type = "probe"
secret = "s"
sink = "http://127.0.0.1:{sink}/citizen"
[plugins.routing]
rules = [{{ service = "strade", words = ["buca"] }}]
[services.urp]
name = "URP"
connectors = [{{ type = "sink", url = "http://127.0.0.1:{sink}/urp" }}]
[services.strade]
name = "Strade"
connectors = [{{ type = "sink", url = "http://127.0.0.1:{sink}/strade" }}]
"""


@dataclass
class Town:
    """A daemon, what reached its sink, and the commands of its staff."""

    folder: Path
    port: int
    arrived: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    async def say(self, sender: str, **said: str) -> None:
        """Let somebody say something."""
        self.count += 1
        body = json.dumps({"id": f"m{self.count}", "from": sender, **said}).encode()
        digest = hmac.new(b"s", body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={digest}"}
        url = f"http://127.0.0.1:{self.port}/channels/probe/webhook"
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=body, headers=headers) as response,
        ):
            assert 200 == response.status

    async def command(self, *words: str, code: int = 0) -> str:
        """Run a command that ends with ``code``; return what it prints."""
        done = await asyncio.to_thread(run, self.folder, *words)
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout

    async def listed(self, *words: str, code: int = 0) -> Any:
        """Run a command with ``--json``; return what it tells."""
        return json.loads(await self.command(*words, "--json", code=code))

    async def until(self, fulfilled: Callable[[], bool]) -> None:
        """Wait for something at the sink."""
        async with asyncio.timeout(20):
            while not fulfilled():
                await asyncio.sleep(0.05)

    async def first(self, *words: str) -> dict[str, Any]:
        """Wait until a list is not empty; return its first row."""
        async with asyncio.timeout(20):
            while not (rows := await self.listed(*words)):
                await asyncio.sleep(0.05)
        return rows[0]


@contextlib.asynccontextmanager
async def sink(town: Town, port: int) -> AsyncIterator[None]:
    """Note what reaches each office, and the citizen."""

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        what = body.get("id") or body["quote"]
        town.arrived.append((request.match_info["target"], what))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{target}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A running town."""
    shutil.copy(PROBE, tmp_path)
    port, target = free_port(), free_port()
    (tmp_path / "gateway.toml").write_text(CONFIG.format(port=port, sink=target))
    made = Town(tmp_path, port)
    async with sink(made, target), daemon(tmp_path):
        yield made


async def test_held_message_is_released(town: Town):
    """Staff read it with the words that held it, and let it go on to its office."""
    await town.say("anna", text="stronzo, c'è una buca")
    held = await town.first("messages", "list", "--state", "held")
    shown = await town.listed("messages", "show", held["id"])
    assert "stronzo, c'è una buca" == shown["body"]["text"]
    assert ["hold"] == [verdict["action"] for verdict in shown["verdicts"]]

    await town.command("messages", "release", held["id"])
    await town.until(lambda: ("strade", "m1") in town.arrived)

    assert "processed" == (await town.listed("messages", "show", held["id"]))["state"]
    await town.command("messages", "release", held["id"], code=1)


async def test_held_message_is_rejected_with_its_reason(town: Town):
    """No office sees it, the citizen is told; the reason is on the record."""
    await town.say("anna", text="stronzo")
    held = await town.first("messages", "list", "--state", "held")
    await town.until(lambda: [("citizen", "m1")] == town.arrived)

    words = ("messages", "reject", held["id"], "--reason", "offensivo")
    await town.command(*words)
    await town.until(lambda: 2 == len(town.arrived))

    assert {"citizen"} == {target for target, _ in town.arrived}
    shown = await town.listed("messages", "show", held["id"])
    assert ("rejected", "offensivo") == (shown["state"], shown["reason"])
    actions = [e["action"] for e in await town.listed("audit", "show", held["id"])]
    assert "message.rejected" in actions
    # What staff decided is not what the rules did.
    assert [] == await town.listed("replay")


async def test_case_is_shown_with_all_that_belongs_to_it(town: Town):
    """Its messages both ways, and every delivery."""
    await town.say("anna", text="una buca")
    await town.until(lambda: 2 == len(town.arrived))
    case = await town.first("cases", "list", "--status", "assigned")

    shown = await town.listed("cases", "show", case["number"])

    assert ("strade", 2) == (shown["service"], len(shown["messages"]))
    [reason] = [each["why"] for each in shown["assignments"] if each["why"]]
    assert "rules[0]: «buca»" == reason
    assert {"service:strade", "channel:probe"} == {
        delivery["target"] for delivery in shown["deliveries"]
    }
    assert {"sent"} == {receipt["status"] for receipt in shown["receipts"]}
    words = ("cases", "receipts", case["number"], str(town.folder / "evidence"))
    assert "no receipts with an original\n" == await town.command(*words)
    assert case["number"] in await town.command("cases", "show", case["number"])
    table = await town.command("cases", "list")
    assert all(case[name] in table for name in ("number", "id"))
    assert [] == await town.listed("cases", "list", "--status", "closed")


async def test_staff_change_cases_beside_the_daemon(town: Town):
    """Each command tells what it did, or refuses and says why; the daemon does it."""
    await town.say("anna", text="una buca grande in via Roma")
    await town.say("bea", text="via Roma, grande buca")
    await town.until(lambda: 4 == len(town.arrived))
    one, other = sorted(each["number"] for each in await town.listed("cases", "list"))

    await town.command("cases", "move", one, "urp", "--reason", "non è una strada")
    await town.until(lambda: ("urp", "m1") in town.arrived)
    await town.command("cases", "merge", other, one, code=1)
    (found,) = await town.listed("cases", "duplicates", one)
    assert other == found["number"]
    await town.command("cases", "link", other, one)
    assert f"{one} is closed\n" == await town.command("cases", "close", one)
    assert ["closed"] * 2 == [c["status"] for c in await town.listed("cases", "list")]
    await town.command("cases", "reopen", other)
    await town.command("cases", "unlink", other)
    await town.say("bea", text="e un lampione")
    await town.until(lambda: ("strade", "m3") in town.arrived)
    messages = (await town.listed("cases", "show", other))["messages"]
    (lamp,) = [m["id"] for m in messages if m["author"] == "citizen"][1:]
    new = (await town.command("cases", "split", other, lamp)).split()[0]
    await town.command("cases", "merge", other, new)

    assert "strade" == (await town.listed("cases", "show", new))["service"]


async def test_dead_letter_is_shown_retried_and_discarded(town: Town):
    """What nobody could read: seen whole, tried again, closed with a reason."""
    await town.say("anna")
    dead = await town.first("dead-letters", "list")
    shown = await town.listed("dead-letters", "show", dead["id"])
    assert ("unreadable", "text: missing") == (shown["code"], shown["reason"])
    assert {"id": "m1", "from": "anna"} == json.loads(shown["original"])

    await town.command("dead-letters", "retry", dead["id"])
    again = await town.first("dead-letters", "list")
    assert again["id"] != dead["id"]
    await town.command("dead-letters", "discard", again["id"], "--reason", "prova")

    assert [] == await town.listed("dead-letters", "list")
    every = await town.listed("dead-letters", "list", "--all")
    assert {"retried", "discarded"} == {row["resolution"] for row in every}
    await town.command("dead-letters", "retry", again["id"], code=1)


async def test_trail_is_verified_and_a_change_found(town: Town):
    """Sound as it is; broken once somebody has been at it; a cut end by a kept head."""
    await town.say("anna", text="una buca")
    await town.until(lambda: 2 == len(town.arrived))
    await asyncio.sleep(0.3)  # the last record
    sound = await town.command("audit", "verify")
    head = sound.split("head ")[1].strip()

    database = town.folder / "data" / "gateway.db"
    with contextlib.closing(sqlite3.connect(database)) as there, there:
        there.execute("UPDATE event SET actor = 'nobody' WHERE seq = 1")
    assert 1 == (await town.listed("audit", "verify", code=1))["broken_at"]
    assert "BROKEN" in await town.command("audit", "verify", code=1)
    seq = int(head.split(":")[0])
    cut = f"{seq + 1}:{head.split(':')[1]}"
    await town.command("audit", "verify", "--expect", cut, code=1)


async def test_replay_shows_what_new_rules_would_do(town: Town):
    """Nothing differs with the same rules; with others, what, and nothing is sent."""
    for text in ("una buca", "un lampione"):
        await town.say(text, text=text)
    await town.say("bea")  # unreadable, then and now
    await town.until(lambda: 4 == len(town.arrived))
    await town.first("dead-letters", "list")
    await asyncio.sleep(0.3)
    assert [] == await town.listed("replay")

    config = town.folder / "gateway.toml"
    config.write_text(config.read_text().replace('"buca"', '"lampion*"'))
    differences = await town.listed("replay", code=1)

    assert {
        ("processed strade", "processed urp"),
        ("processed urp", "processed strade"),
    } == {(row["then"], row["now"]) for row in differences}
    assert 4 == len(town.arrived)


async def test_campaign_reaches_who_has_written(town: Town):
    """Each once, also if the command is run twice; the others are counted."""
    for sender in ("anna", "bea"):
        await town.say(sender, text="una buca")
    await town.until(lambda: 4 == len(town.arrived))
    (town.folder / "text").write_text("Domani il mercato è chiuso.\n")
    people = "\ufeffprobe:anna\r\nprobe:bea\r\n\r\nprobe:carla\r\n"
    (town.folder / "to").write_text(people)  # as Windows writes it
    words = ("campaign", "--channel", "probe", "--text", "text", "--to", "to", "--yes")
    printed = await town.command(*words)
    await town.until(lambda: 6 == len(town.arrived))

    assert "2 citizens\n1 addresses never wrote there" in printed
    assert "  probe:carla\n" in printed
    assert "2 notices are on their way" in printed
    assert "0 notices are on their way" in await town.command(*words)


async def test_campaign_that_can_not_be(town: Town):
    """No such channel, no address, no text: told before anything is sent."""
    (town.folder / "text").write_text("")
    (town.folder / "to").write_text("anna\n")
    words = ("--text", "text", "--to", "to", "--yes")

    await town.command("campaign", "--channel", "fax", *words, code=1)
    await town.command("campaign", "--channel", "probe", *words, code=1)
    (town.folder / "text").write_text("Avviso")
    await town.command("campaign", "--channel", "probe", *words, code=2)
    (town.folder / "text").write_bytes("è chiuso".encode("latin-1"))
    await town.command("campaign", "--channel", "probe", *words, code=2)


async def test_reason_says_something(town: Town):
    """An empty one is wrong usage, wherever one is asked for."""
    for words in (
        ("messages", "reject", "x"),
        ("dead-letters", "discard", "x"),
        ("contacts", "block", "x"),
    ):
        await town.command(*words, "--reason", " ", code=2)


async def test_contact_agrees_and_withdraws(town: Town):
    """By staff's word: with how they know; what can't be is refused, and why."""
    await town.say("anna", text="una buca")
    await town.until(lambda: 2 == len(town.arrived))
    case = await town.first("cases", "list")
    who = ("--case", case["number"])
    where = ("--address", "probe:anna-casa", "--channel", "probe")
    how = ("--how", "modulo firmato")
    await town.command("contacts", "agree", *who, *where, *how)
    assert "already" in await town.command("contacts", "agree", *who, *where, *how)

    shown = await town.listed("contacts", "show", "probe:anna-casa")
    (consent,) = shown["consents"]
    assert ("probe:anna-casa", "staff:cli", "modulo firmato", None) == (
        consent["uri"],
        consent["given_by"],
        consent["note"],
        consent["ended_at"],
    )

    other = ("--address", "mailto:Anna@example.it", "--channel", "probe", *how)
    await town.command("contacts", "agree", *who, *other, code=1)
    nowhere = ("--address", "probe:x", "--channel", "fax", *how)
    await town.command("contacts", "agree", *who, *nowhere, code=1)
    nothing = ("--address", "anna", "--channel", "probe", *how)
    await town.command("contacts", "agree", *who, *nothing, code=2)
    await town.say("bea", text="un lampione")
    await town.until(lambda: 4 == len(town.arrived))
    taken = ("--address", "probe:bea", "--channel", "probe", *how)
    await town.command("contacts", "agree", *who, *taken, code=1)

    assert "withdrawn 1" in await town.command("contacts", "withdraw", *who)
    (ended,) = (await town.listed("contacts", "show", "probe:anna"))["consents"]
    assert "staff:cli" == ended["ended_by"]


async def test_contact_is_blocked_and_heard_again(town: Town):
    """Found by case, address, message or id; what they said stays refused."""
    await town.say("anna", text="una buca")
    await town.until(lambda: 2 == len(town.arrived))
    case = await town.first("cases", "list")
    because = ("--reason", "insulti")
    await town.command("contacts", "block", "--case", case["number"], *because)
    again = await town.command("contacts", "block", "probe:anna", *because)
    assert "was blocked already" in again
    (row,) = await town.listed("contacts", "list", "--blocked")
    assert (1, "insulti", "staff:cli") == (
        row["addresses"],
        row["reason"],
        row["blocked_by"],
    )

    await town.say("anna", text="un insulto")
    refused = await town.first("messages", "list", "--state", "rejected")
    assert refused["reason"].startswith("the sender is blocked since")
    for name in (refused["id"], row["id"], "probe:anna"):
        shown = await town.listed("contacts", "show", name)
        assert (row["id"], "insulti") == (shown["id"], shown["reason"])
        assert [case["number"]] == [each["number"] for each in shown["cases"]]
        assert ["probe:anna"] == [each["uri"] for each in shown["addresses"]]
    assert row["id"] in await town.command("contacts", "show", row["id"])
    assert [] == await town.listed("replay")

    await town.command("contacts", "unblock", refused["id"])
    assert "was not" in await town.command("contacts", "unblock", "probe:anna")
    await town.say("anna", text="la buca, per favore")
    await town.until(lambda: ("strade", "m3") in town.arrived)

    assert [] == await town.listed("contacts", "list", "--blocked")
    assert [row["id"]] == [each["id"] for each in await town.listed("contacts", "list")]
    actions = [e["action"] for e in await town.listed("audit", "show", row["id"])]
    assert ["contact.blocked", "contact.unblocked"] == actions
    assert not [each for each in town.arrived if each[1] == "m2"]


async def test_contact_must_be_named(town: Town):
    """By one name that somebody has."""
    because = ("--reason", "r")
    await town.command("contacts", "block", "probe:nobody", *because, code=1)
    await town.command("contacts", "block", "--case", "URP-1", *because, code=1)
    await town.command("contacts", "unblock", code=2)
    await town.command("contacts", "show", "a", "--case", "b", code=2)
    await town.command("contacts", "block", "probe:nobody", code=2)


async def test_contact_is_forgotten_by_plugins(town: Town):
    """Once nothing of theirs is open; it is on the record."""
    await town.say("anna", text="una buca")
    await town.until(lambda: 2 == len(town.arrived))
    number = (await town.first("cases", "list"))["number"]
    words = ("contacts", "forget", "--case", number, "--reason", "art. 17")
    await town.command(*words, code=1)
    await town.command("cases", "close", number)
    done = await asyncio.to_thread(run, town.folder, *words)
    while "on its way" in done.stderr:
        done = await asyncio.to_thread(run, town.folder, *words)
    said = done.stdout
    shown = await town.listed("audit", "show", said.partition(":")[0])

    assert said.endswith(": 0 values of plugins are erased\n")
    assert "contact.plugin_state_erased" in {each["action"] for each in shown}
