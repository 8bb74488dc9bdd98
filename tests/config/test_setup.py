"""Plugins that can't be loaded are problems like any other; they hide no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.host import PluginHost
from gateway.setup import kinds_in, set_up

HERE = Path(__file__).parent
UNLOADABLE = sorted((HERE / "unloadable").glob("*.toml"))


def problems_of(read, path: Path) -> list[str]:
    """Return what is printed, with the file's name only."""
    with pytest.raises(ConfigError) as caught:
        read(path)
    return [str(each).replace(str(path), path.name) for each in caught.value.problems]


def expected_of(path: Path) -> list[str]:
    """Return what has to be printed on this machine."""
    installed = ", ".join(sorted(PluginHost.installed()))
    text = path.with_suffix(".txt").read_text()
    return text.format(installed=installed, folder=path.parent).splitlines()


@pytest.mark.parametrize("path", UNLOADABLE, ids=lambda path: path.stem)
def test_every_problem_is_told(path: Path):
    """So is what else is wrong; what a missing plugin may own is not judged."""
    assert expected_of(path) == problems_of(set_up, path)


@pytest.mark.parametrize("path", UNLOADABLE, ids=lambda path: path.stem)
def test_schema_needs_the_plugins(path: Path):
    """Without a plugin there is no schema: that alone is told."""
    expected = [line for line in expected_of(path) if ": gateway.plugins" in line]

    assert expected == problems_of(kinds_in, path)


def test_schema_needs_nothing_else(tmp_path: Path):
    """What else is wrong, also in the plugins' own sections, is no hindrance."""
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[gateway]\nplugins = ["email", "routing"]\n[plugins.email]\nx = 1\n'
    )

    kinds = kinds_in(path)

    assert ["email", "routing"] == list(kinds.plugins)
    assert ["email", "pec"] == list(kinds.connectors)
