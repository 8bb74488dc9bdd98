"""Two nodes on one PostgreSQL: one of them collects a mailbox, then the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from mail_town import Town, eventually

from gateway.store.migrate import upgrade


async def test_the_other_node_takes_over_from_a_dead_one(
    mail_server: Any, postgresql: str, tmp_path: Path
) -> None:
    """As long as the first lives it alone has the mailbox; nothing comes twice."""
    upgrade(postgresql)
    nodes = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        nodes.append(Town(mail_server, tmp_path / name, database=postgresql))
    first, second = nodes
    second.name = first.name
    second.sent = first.sent
    await first.write(2)
    async with first.daemon() as dying:
        await eventually(first.is_well)
        owner = _owner(postgresql)
        async with second.daemon():
            await first.write(2)
            await eventually(first.is_well)
            assert owner == _owner(postgresql)
            dying.kill()
            await second.write(2)
            await eventually(second.is_well)
            assert owner != _owner(postgresql)

    assert [] == await second.complaints(range(3))


def _owner(url: str) -> str:
    """Return who holds the mailbox."""
    with psycopg.connect(url) as connection:
        statement = "SELECT owner FROM lease WHERE name = 'channel:posta'"
        [(owner,)] = connection.execute(statement).fetchall()
    return str(owner)
