"""The systemd unit gives the daemon no more than it needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "deploy" / "municipal-gateway.service"


PROGRAM = "/opt/municipal-gateway/bin/gateway"


def _analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    return subprocess.run(
        [analyze, *arguments], capture_output=True, text=True, check=False
    )


def test_unit_is_hardened():
    """Systemd itself rates the unit's exposure: at most 1.5 of 10."""
    rated = _analyze("security", "--offline=yes", "--threshold=15", UNIT)

    assert 0 == rated.returncode, rated.stdout[-400:]


def _complaints(folder: Path, text: str) -> str:
    """Return what systemd says of a unit whose program is there."""
    unit = folder / UNIT.name
    unit.write_text(text.replace(PROGRAM, "/bin/true"))
    found = _analyze("verify", unit).stderr.splitlines()
    return "\n".join(line for line in found if UNIT.name in line)


def test_unit_is_understood(tmp_path: Path):
    """Systemd knows every line of the unit."""
    assert "" == _complaints(tmp_path, UNIT.read_text())


def test_misspelt_unit_is_found(tmp_path: Path):
    """The check above sees what systemd would ignore."""
    text = UNIT.read_text().replace("TimeoutStopSec", "TimeOutStopSec")

    assert "TimeOutStopSec" in _complaints(tmp_path, text)


def test_stop_timeout_leaves_time_to_drain():
    """Systemd waits longer than the daemon drains."""
    from gateway.app import DRAIN_SECONDS  # noqa: PLC0415 (only this test needs it)

    (line,) = [x for x in UNIT.read_text().splitlines() if "TimeoutStopSec=" in x]

    assert float(line.split("=")[1]) > DRAIN_SECONDS
