"""Commands that plugins bring along."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import ConfigError, PluginError

HERE = Path(__file__).parent / "extensions"


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """The command line, in a folder with the files that a test names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLY_KEY", "sixteen characters and more")

    def call(*words: str, files: tuple[str, ...] = (), code: int = 0) -> str:
        for name in files:
            shutil.copy(HERE / name, tmp_path)
        result = CliRunner().invoke(app, words, terminal_width=200)
        if isinstance(result.exception, Exception):
            raise result.exception
        assert code == result.exit_code, result.output
        return result.output

    return call


FILES = ("gateway.toml", "counting.py")


def test_help_needs_no_configuration(gateway):
    """The installed plugins' commands are listed, and have a help of their own."""
    assert "dead-letters" in gateway("--help")


def test_help_loads_only_plugins_with_commands(gateway):
    """The list costs little: the e-mail plugin alone takes a fifth of a second."""
    code = (
        "import sys; from gateway.cli.main import app;"
        " app(['--help'], standalone_mode=False);"
        " print('gateway_email' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True
    )
    lines = shown.stdout.decode().splitlines()

    assert any(line.startswith("│ routing ") for line in lines)
    assert "False" == lines[-1]


def test_command_of_a_plugin(gateway):
    """It reads its own section and the services."""
    assert "counting" in gateway("--help", files=FILES)
    assert "Count the services." in gateway("counting", "--help")
    assert "urp 3\n" == gateway("counting", "services", "--times", "3")


def test_plugin_that_is_not_enabled(gateway, tmp_path):
    """Installed is not enabled: the configuration it is given must name it."""
    gateway("--help", files=FILES)
    other = tmp_path / "other.toml"
    text = Path("gateway.toml").read_text().replace('"counting.py:Counting", ', "")
    other.write_text(text.partition("[plugins.counting]")[0])

    with pytest.raises(ConfigError, match="other.toml:3: gateway.plugins.*'counting'"):
        gateway("counting", "services", "--config", str(other))


def test_plugin_that_can_not_be_loaded(gateway, tmp_path):
    """It has no commands in the list; whoever uses them is told why."""
    gateway("--help", files=FILES)
    (tmp_path / "counting.py").write_text("import no_such_library")

    assert "counting" not in gateway("--help")
    with pytest.raises(PluginError, match="no_such_library"):
        gateway("counting", "services")


def test_plugin_without_commands(gateway):
    """Its name is no command."""
    assert "No such command 'whatsapp'" in gateway("whatsapp", code=2)


def test_broken_configuration_hides_nothing_else(gateway, tmp_path):
    """The list is printed all the same."""
    (tmp_path / "gateway.toml").write_text("[gateway")

    assert "dead-letters" in gateway("--help")
