"""Statements for many rows: the same rows arrive on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select

from gateway.store import Store, schema
from gateway.store.prepared import Insertion

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
TABLE = schema.original


def original(number: int, body: bytes = b"\x00\xff\\x'\"", text: str = "{}"):
    """Return a row with bytes, text and a time of its own."""
    return {
        "id": f"o{number:04}",
        "channel": "urp",
        "body": body,
        "headers": text,
        "salt": bytes([number % 256]) * 16,
        "received_at": AT + timedelta(microseconds=number),
    }


def stored(connection: Connection) -> list[dict]:
    """Return what is there, in order."""
    rows = connection.execute(select(TABLE).order_by(TABLE.c.id)).mappings()
    return [dict(row) for row in rows]


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 200])
async def test_all_rows_arrive_as_they_are(store: Store, count: int):
    """However many statements they take."""
    rows = [original(number) for number in range(count)]

    inserted = await store.run(lambda c: Insertion(TABLE).execute(c, rows))

    assert count == inserted
    assert rows == await store.read(stored)


async def test_what_is_there_is_replaced(store: Store):
    """By its key; the others stay, and what is new is added."""
    before = [original(number) for number in range(100)]
    after = [original(number, b"replaced") for number in range(70, 140)]
    insertion = Insertion(TABLE, replacing=True)

    for rows in (before, after):
        assert len(rows) == await store.run(lambda c, r=rows: insertion.execute(c, r))

    assert before[:70] + after == await store.read(stored)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.binary(max_size=300),
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)
def test_any_bytes_and_text_come_back(store: Store, body: bytes, text: str):
    """Nothing is lost or escaped twice on the way."""
    row = original(1, body, text)

    def there_and_back(connection: Connection) -> list[dict]:
        connection.execute(delete(TABLE))
        Insertion(TABLE).execute(connection, [row])
        return stored(connection)

    outcome = store.commit([unit_of(there_and_back)])

    assert [row] == outcome[0].result


def unit_of(work):
    """Return a unit that nobody awaits."""
    from gateway.store.units import _Unit  # noqa: PLC0415 (white-box, here only)

    return _Unit(work, None, batched=False, future=None, task=None)


async def test_only_new_rows_count(store: Store):
    """What is there already, or comes twice, is passed over and not counted."""
    new = Insertion(TABLE, only_new=True)
    first = [original(number) for number in range(3)]
    again = [original(2), original(3), original(3), original(4)]

    assert 3 == await store.run(lambda c: new.execute(c, first))
    assert 2 == await store.run(lambda c: new.execute(c, again))
    assert [original(number) for number in range(5)] == await store.read(stored)


async def test_a_missing_time_stays_missing(store: Store):
    """A job that is due at once has no time."""
    columns = [str(c.name) for c in schema.job.c if c.name not in ("id", "owner")]
    rows = [
        {
            **dict.fromkeys(columns, 0),
            **dict.fromkeys(("queue", "lane", "subject", "state"), "x"),
            "created_at": AT,
            "due_at": due,
            "lease_until": None,
        }
        for due in (None, AT, None, AT + timedelta(1))
    ]

    await store.run(lambda c: Insertion(schema.job, columns).execute(c, rows))

    table = schema.job
    found = await store.read(
        lambda c: c.execute(select(table.c.due_at).order_by(table.c.id)).scalars().all()
    )
    assert [None, AT, None, AT + timedelta(1)] == found
