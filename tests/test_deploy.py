"""The systemd unit gives the daemon no more than it needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "deploy" / "municipal-gateway.service"


def test_unit_is_hardened():
    """Systemd itself rates the unit's exposure: at most 1.5 of 10."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")

    rated = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=15", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == rated.returncode, rated.stdout[-400:]


def test_stop_timeout_leaves_time_to_drain():
    """Systemd waits longer than the daemon drains."""
    from gateway.app import DRAIN_SECONDS  # noqa: PLC0415 (only this test needs it)

    (line,) = [x for x in UNIT.read_text().splitlines() if "TimeoutStopSec=" in x]

    assert float(line.split("=")[1]) > DRAIN_SECONDS
