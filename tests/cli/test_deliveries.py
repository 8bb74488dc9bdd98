"""What nobody works on is told by ``gateway check``, and handed on by a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from test_daemon import run

from gateway.store.migrate import upgrade

CONFIG = """
[gateway]
name = "Prova"
plugins = ["delivery"]
default_service = "urp"
[channels.sistemi]
type = "services"
[services.urp]
name = "URP"
connectors = [{{ type = "maildrop", path = "{folder}" }}]
"""
JOB = """
INSERT INTO job
(queue, lane, subject, start, state, fence, attempts, crashes, created_at)
VALUES (:queue, 'l', 's', 0, 'ready', 0, 0, 0, 0)
"""


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A city that has taken a connector and a channel out of its configuration."""
    (tmp_path / "gateway.toml").write_text(CONFIG.format(folder=tmp_path))
    (tmp_path / "data").mkdir()
    url = f"sqlite:///{tmp_path}/data/gateway.db"
    upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        for target in ("service:urp", "service:urp/1", "channel:vecchio"):
            connection.execute(text(JOB), {"queue": f"deliver:{target}"})
    engine.dispose()
    return tmp_path


def test_check_tells_what_waits_for_nobody(city: Path):
    """One row for each queue, with its counts; what is configured is not among them."""
    done = run(city, "check", "--json")
    rows = {row["part"]: row for row in json.loads(done.stdout)}
    told = rows["store deliver:service:urp/1"]

    assert 0 == done.returncode
    assert "degraded" == told["status"]
    assert "1 waiting, 0 given up" in told["text"]
    assert "store deliver:channel:vecchio" in rows
    assert "store deliver:service:urp" not in rows


def test_command_lists_and_moves(city: Path):
    """What makes no sense is a sentence, and changes nothing."""
    listed = json.loads(run(city, "deliveries", "stranded", "--json").stdout)
    words = ("deliveries", "move", "--to", "service:urp", "--from")
    refused = run(city, *words, "channel:vecchio")
    moved = run(city, *words, "service:urp/1")

    assert [
        {"queue": "deliver:channel:vecchio", "open": 1, "dead": 0},
        {"queue": "deliver:service:urp/1", "open": 1, "dead": 0},
    ] == listed
    assert 1 == refused.returncode
    assert "never handed to another channel" in refused.stderr
    # The job that stands here for work is of no delivery.
    assert (0, "0 deliveries go to service:urp\n") == (moved.returncode, moved.stdout)
