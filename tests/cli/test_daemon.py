"""The daemon as operators meet it: signals, exit codes, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from gateway.store.engine import migration_engine
from gateway.store.migrate import upgrade
from gateway.store.schema import REVISION
from gateway.testing import forked

PROBE = Path(__file__).parents[1] / "crash" / "probe_plugin.py"
CONFIG = """
[gateway]
name = "Prova"
plugins = ["probe_plugin.py:ProbePlugin"]
default_service = "urp"
[web]
port = {port}
min_free_bytes = {min_free}
[channels.probe]
type = "probe"
secret = "s"
sink = "http://127.0.0.1:9/citizen"
[services.urp]
name = "URP"
connectors = [{{ type = "sink", url = "http://127.0.0.1:9/office" }}]
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return forked.run(folder, *arguments, environment=os.environ | {"COLUMNS": "200"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a right configuration."""
    shutil.copy(PROBE, tmp_path)
    write(tmp_path)
    return tmp_path


def write(folder: Path, port: int | None = None, min_free: int = 0, more: str = ""):
    config = CONFIG.format(port=port or free_port(), min_free=min_free)
    (folder / "gateway.toml").write_text(config + more)


def port_of(folder: Path) -> int:
    line = next(
        x for x in (folder / "gateway.toml").read_text().splitlines() if "port =" in x
    )
    return int(line.split("=")[1])


@contextlib.asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[forked.Command]:
    """Run the daemon until it answers; kill it at the end."""
    process = forked.Command(folder, "run", stderr=folder / "log")
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(20):
            while not await _live(http, port_of(folder)):
                assert process.returncode is None, (folder / "log").read_text()
                await asyncio.sleep(0.05)
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def _live(http: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with http.get(f"http://127.0.0.1:{port}/healthz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


async def test_sigterm_ends_the_daemon_in_order(folder: Path):
    """A graceful stop ends with 0, well within 20 seconds."""
    async with daemon(folder) as process:
        process.send_signal(signal.SIGTERM)

        assert 0 == await asyncio.to_thread(process.wait, 10)


async def test_sighup_reloads_what_can_be_and_says_what_can_not(folder: Path):
    """A right file is taken over, a wrong one changes nothing; both are told."""
    async with daemon(folder) as process:
        port = port_of(folder)
        write(
            folder, port, more="\n[log]\nlevel = 'debug'\n[outbox]\nconcurrency = 3\n"
        )
        process.send_signal(signal.SIGHUP)
        await _logged(folder, "reloaded")
        write(folder, port, more="\n[log]\nlevel = 'loud'\n")
        process.send_signal(signal.SIGHUP)
        await _logged(folder, "reload_refused")

    by_event = {line["event"]: line for line in lines(folder)}
    assert ["log"] == by_event["reloaded"]["sections"]
    assert ["outbox"] == by_event["reloaded"]["need_restart"]
    assert "log.level: found text 'loud'" in by_event["reload_refused"]["problems"]


async def test_sighup_after_a_change_was_taken_back(folder: Path):
    """What is as the daemon runs it needs no restart, whatever it was meanwhile."""
    async with daemon(folder) as process:
        port = port_of(folder)
        for count, more in enumerate(("\n[outbox]\nconcurrency = 3\n", ""), start=1):
            write(folder, port, more=more)
            process.send_signal(signal.SIGHUP)
            await _logged(folder, "reloaded", count)

    told = [line for line in lines(folder) if line["event"] == "reloaded"]
    assert [["outbox"], []] == [line["need_restart"] for line in told]


async def _logged(folder: Path, event: str, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while [line["event"] for line in lines(folder)].count(event) < count:
            await asyncio.sleep(0.05)


async def test_second_daemon_on_the_same_data_is_refused(folder: Path):
    """Two daemons on one SQLite file would corrupt it: the second says who runs."""
    async with daemon(folder):
        done = await asyncio.to_thread(run, folder, "run")

    assert 1 == done.returncode
    assert "another gateway" in done.stderr
    assert "Traceback" not in done.stderr


async def test_full_disk_is_said_before_anything_is_lost(folder: Path):
    """Without room the edge answers 503 and the node is not ready."""
    write(folder, min_free=2**40)
    body = b'{"id": "1", "from": "a", "text": "x"}'
    import hashlib  # noqa: PLC0415 (only here)
    import hmac  # noqa: PLC0415

    digest = hmac.new(b"s", body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}"}
    url = f"http://127.0.0.1:{port_of(folder)}"
    async with daemon(folder), aiohttp.ClientSession() as http:
        async with http.post(
            f"{url}/channels/probe/webhook", data=body, headers=headers
        ) as response:
            assert 503 == response.status
        async with http.get(f"{url}/readyz") as response:
            assert 503 == response.status
            assert "bytes free" in (await response.json())["reasons"][0]


async def test_commands_work_beside_a_running_daemon(folder: Path):
    """Operators look while the daemon works."""
    async with daemon(folder):
        listed = await asyncio.to_thread(run, folder, "messages", "list", "--json")
        verified = await asyncio.to_thread(run, folder, "audit", "verify")

    assert (0, []) == (listed.returncode, json.loads(listed.stdout))
    assert (0, "sound: 0 events") == (verified.returncode, verified.stdout[:15])


def test_newer_database_refuses_to_start(folder: Path):
    """A database of a newer schema is left alone, and says what it needs."""
    (folder / "data").mkdir()
    url = f"sqlite:///{folder}/data/gateway.db"
    upgrade(url)
    engine = migration_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    done = run(folder, "run")

    assert 1 == done.returncode
    assert "install a version of municipal-gateway that has schema 9999" in done.stderr


def test_unknown_plugin_lists_what_is_installed(folder: Path):
    """A misspelt plugin is answered with the names there are, by each command."""
    config = (folder / "gateway.toml").read_text()
    (folder / "gateway.toml").write_text(
        config.replace("probe_plugin.py:ProbePlugin", "watsapp")
    )

    shown = [run(folder, command) for command in ("check", "schema", "run")]
    as_json = json.loads(run(folder, "check", "--json").stdout)

    found = "'watsapp' (did you mean whatsapp?)"
    expected = f"gateway.toml:4: gateway.plugins[0]: found {found}; allowed: one of: "
    assert [1, 1, 1] == [done.returncode for done in shown]
    assert [True] * 3 == [done.stderr.startswith(expected) for done in shown]
    assert [("gateway.plugins[0]", 4, found)] == [
        (each["key"], each["line"], each["found"]) for each in as_json
    ]


def test_wrong_config_lists_every_problem(folder: Path):
    """All mistakes at once, for people and for programs."""
    write(folder, more="\n[log]\nlevel = 'loud'\n[outbox]\nconcurrency = 0\n")

    shown = run(folder, "check")
    as_json = run(folder, "check", "--json")

    assert (1, 1) == (shown.returncode, as_json.returncode)
    assert "2 problem(s)" in shown.stderr
    assert ["log.level", "outbox.concurrency"] == [
        p["key"] for p in json.loads(as_json.stdout)
    ]


def test_missing_config_is_a_sentence(tmp_path: Path):
    """No file, no traceback."""
    done = run(tmp_path, "run")

    assert 1 == done.returncode
    assert "gateway.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_and_plugins_can_be_printed(folder: Path):
    """What editors and newcomers ask for."""
    schema = json.loads(run(folder, "schema").stdout)
    plugins = json.loads(run(folder, "plugins", "--json").stdout)

    assert "channels" in schema["properties"]
    assert {"email", "moderation", "routing", "whatsapp"} <= {
        p["plugin"] for p in plugins
    }


def test_plugins_in_files_are_listed(folder: Path):
    """A plugin of one file, enabled in the configuration, is listed with its file."""
    (folder / "mine.py").write_text(
        "from gateway.plugin import NoConfig, Plugin\n"
        "class Mine(Plugin[NoConfig]):\n    pass\n"
    )
    path = folder / "gateway.toml"
    text = path.read_text().replace("plugins = [", 'plugins = ["mine.py:Mine", ')
    path.write_text(text)
    listed = json.loads(run(folder, "plugins", "--json").stdout)
    path.write_text("plugins = [")
    broken = run(folder, "plugins", "--json")

    mine = [p for p in listed if p["plugin"] == "mine"]
    assert ["mine.py:Mine"] == [p["distribution"] for p in mine]
    assert "plugins in files are not listed" in broken.stderr
    assert "whatsapp" in {p["plugin"] for p in json.loads(broken.stdout)}


def test_schema_of_a_config_with_problems(folder: Path):
    """An editor helps most where something is wrong."""
    write(folder, more="\n[log]\nlevel = 'loud'\n[services.x]\n")

    done = run(folder, "schema")

    assert 0 == done.returncode
    assert "channels" in json.loads(done.stdout)["properties"]


def test_migrate_says_what_it_did(folder: Path):
    """From nothing to the newest schema, and again without effect."""
    assert f"schema none → {REVISION}" == run(folder, "migrate").stdout.strip()
    assert f"schema {REVISION} → {REVISION}" == run(folder, "migrate").stdout.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ("dead-letters", "show", "nothing"),
        ("dead-letters", "retry", "nothing"),
        ("dead-letters", "discard", "nothing", "--reason", "x"),
        ("messages", "show", "nothing"),
        ("messages", "release", "nothing"),
        ("cases", "show", "nothing"),
        ("audit", "show", "nothing"),
    ],
    ids=" ".join,
)
def test_unknown_id_is_a_sentence(folder: Path, arguments):
    """An id that names nothing ends with 1 and a word about it."""
    run(folder, "migrate")

    done = run(folder, *arguments)

    assert 1 == done.returncode
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_ends_with_two():
    """Usage errors have their own exit code."""
    assert 2 == run(Path.cwd(), "audit", "verify", "--nonsense").returncode


def test_relative_config_means_the_folder_it_is_in(tmp_path: Path, monkeypatch):
    """From wherever one calls: ``data`` is beside the file, and nowhere else."""
    place = tmp_path / "comune"
    place.mkdir()
    shutil.copy(PROBE, place)
    write(place, more='[store]\ndata = "dati"\n')

    done = run(tmp_path, "migrate", "-c", "comune/gateway.toml")
    listed = run(tmp_path, "cases", "list", "-c", "comune/gateway.toml")

    assert (0, 0) == (done.returncode, listed.returncode), done.stderr
    assert [place / "dati" / "gateway.db"] == list(tmp_path.rglob("gateway.db"))


def test_what_we_write_is_for_our_user_only(folder: Path):
    """The database holds what citizens said."""
    run(folder, "migrate")

    modes = {f.stat().st_mode & 0o077 for f in (folder / "data").iterdir()}
    assert {0} == modes


def test_taken_port_is_said(folder: Path):
    """An operator reads which address, and where it is set."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", port_of(folder)))
        other.listen()
        done = run(folder, "run")

    assert 1 == done.returncode
    expected = f"can't listen on 127.0.0.1:{port_of(folder)}: address already in use"
    assert expected in done.stderr
    assert "[web]" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("messages", "list", "--state"), ("cases", "list", "--status")]
)
def test_unknown_state_is_wrong_usage(folder: Path, arguments):
    """A typo must not look like an empty list."""
    done = run(folder, *arguments, "foo")

    assert 2 == done.returncode
    assert "processed" in done.stderr or "assigned" in done.stderr
