"""A database that can't be opened is a sentence, whatever command looks for it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.main import app, main

CONFIG = """
[gateway]
name = "Prova"
plugins = ["delivery", "routing"]
default_service = "urp"
[store]
url = {{ env = "DATABASE" }}
data = "{data}"
[web]
port = 0
[channels.sistemi]
type = "services"
[services.urp]
name = "URP"
connectors = [{{ type = "maildrop", path = "{data}" }}]
"""
COMMANDS = {
    "run": [],
    "check": [],
    "migrate": [],
    "replay": [],
    "campaign": ["--channel", "sistemi", "--text", "t.txt", "--to", "to.txt", "--yes"],
    "messages": ["list"],
    "cases": ["list"],
    "contacts": ["list"],
    "dead-letters": ["list"],
    "deliveries": ["stranded"],
    "audit": ["verify"],
    "report": [],
    "routing": ["evaluate"],
}
"""Each command, and one of each group, that opens the database."""
NO_DATABASE = {"schema", "plugins", "demo"}


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Run a command in a city whose database is at a URL; return code and errors."""
    for name in ("t.txt", "to.txt"):
        (tmp_path / name).write_text("mailto:anna@example.it\n")
    monkeypatch.chdir(tmp_path)

    def command(url: str, *words: str) -> tuple[int, str]:
        config = CONFIG.format(data=tmp_path / "data")
        (tmp_path / "gateway.toml").write_text(config)
        (tmp_path / "data").mkdir(exist_ok=True)
        monkeypatch.setenv("DATABASE", url)
        monkeypatch.setattr(sys, "argv", ["gateway", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.err + said.out

    return command


def test_no_command_is_left_out():
    """Each command of the core is in the table."""
    names = {each.name or each.callback.__name__ for each in app.registered_commands}
    groups = {str(each.name) for each in app.registered_groups}

    assert names | groups == (set(COMMANDS) | NO_DATABASE) - {"routing"}


@pytest.mark.parametrize("name", COMMANDS)
def test_postgresql_that_is_not_there(name, gateway):
    """Which database, and why: without a traceback, or the password."""
    code, said = gateway(
        "postgresql://urp:geheim@127.0.0.1:1/citta", name, *COMMANDS[name]
    )

    assert 1 == code
    assert "the database citta at 127.0.0.1:1 can't be opened: connection" in said
    assert "Traceback" not in said
    assert "geheim" not in said


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("file", ["folder", "garbage"])
def test_sqlite_file_that_can_not_be_opened(file, name, gateway, tmp_path):
    """A folder in its place, or something that is no database."""
    place = tmp_path / "data" / "gateway.db"
    place.parent.mkdir()
    if file == "folder":
        place.mkdir()
    else:
        place.write_bytes(b"nothing of the kind" * 100)
    code, said = gateway("sqlite:///gateway.db", name, *COMMANDS[name])

    assert 1 == code
    assert f"the database {place} can't be opened: " in said
    assert "Traceback" not in said
    shutil.rmtree(place.parent)
