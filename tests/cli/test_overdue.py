"""Which cases are late, and how much working time is left."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_daemon import PROBE, run

CONFIG = """
[gateway]
name = "Prova"
plugins = ["probe_plugin.py:ProbePlugin"]
default_service = "urp"
[channels.probe]
type = "probe"
secret = "s"
sink = "http://127.0.0.1:1/citizen"
[services.urp]
name = "URP"
connectors = [{ type = "sink", url = "http://127.0.0.1:1/urp" }]
"""


def half_days() -> str:
    """Return hours of twelve each day about now, holidays or not."""
    today = datetime.now(UTC).date()
    days = [today + timedelta(days=n) for n in range(-4, 5)]
    each = ", ".join(f'{{ day = {day}, hours = ["00:00-12:00"] }}' for day in days)
    return f'[hours]\nmonday = ["00:00-12:00"]\nopenings = [{each}]\n'


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """A city with three cases: late since two days, due in two days, without."""
    (tmp_path / "gateway.toml").write_text(CONFIG)
    (tmp_path / "probe_plugin.py").write_bytes(PROBE.read_bytes())
    assert 0 == run(tmp_path, "migrate").returncode
    now = datetime.now(UTC)
    with sqlite3.connect(tmp_path / "data" / "gateway.db") as database:
        database.execute("INSERT INTO contact (id, name) VALUES ('k', 'Anna')")
        database.execute(
            "INSERT INTO conversation (id, channel, contact_id, reply_to,"
            " last_inbound_at) VALUES ('t', 'probe', 'k', 'phone:anna', 0)"
        )
        for number, days in ((1, -2), (2, 2), (3, None)):
            due = None if days is None else now + timedelta(days=days)
            database.execute(
                "INSERT INTO cases (id, number, conversation_id, service, status,"
                " opened_at, last_message_at, deadline_at)"
                " VALUES (?, ?, 't', 'urp', 'assigned', 0, 0, ?)",
                (
                    f"c{number}",
                    f"URP-2026-{number}",
                    due and int(due.timestamp() * 1_000_000),
                ),
            )
    return tmp_path


def test_overdue_cases_are_listed(office: Path):
    """Only those whose deadline has passed."""
    late = json.loads(run(office, "cases", "list", "--overdue", "--json").stdout)
    every = json.loads(run(office, "cases", "list", "--json").stdout)

    assert ["URP-2026-1"] == [row["number"] for row in late]
    assert [True, True, False] == sorted(
        (row["deadline_at"] is not None for row in every), reverse=True
    )


@pytest.mark.parametrize(("hours", "a_day"), [("", 24), (half_days(), 12)])
def test_working_time_left(office: Path, hours: str, a_day: int):
    """Less than nothing once it is late; in working hours, if there are any."""
    (office / "gateway.toml").write_text(f"{CONFIG}{hours}")

    def left(number: int) -> float | None:
        shown = run(office, "cases", "show", f"URP-2026-{number}", "--json")
        return json.loads(shown.stdout)["working_hours_left"]

    assert left(1) == pytest.approx(-2 * a_day, abs=1.1)
    assert left(2) == pytest.approx(2 * a_day, abs=1.1)
    assert left(3) is None
