"""A database as years leave it: messages that went the whole way, made by SQL."""

from __future__ import annotations

from typing import Final

import orjson
from load import TEXTS, webhooks
from processes import HERE
from sqlalchemy import Connection, text

from gateway.store import Store

PEOPLE: Final = 20_000
"""How many write in the load: they are all known."""

_EVENTS: Final = 3
_BATCH: Final = 50_000

# How each database counts to n, pads a number, and makes up bytes.
_SQLITE: Final = {
    "numbers": """(WITH RECURSIVE s(i) AS (
        SELECT :first UNION ALL SELECT i + 1 FROM s WHERE i + 1 < :end) SELECT i FROM s
    ) AS s""",
    "pad": "printf('%026d', i)",
    "person": "printf('39333%07d', i % :people)",
    "noise": "hex(randomblob(10))",
    "bytes": "randomblob(32)",
}
_POSTGRESQL: Final = {
    "numbers": "generate_series(CAST(:first AS bigint), CAST(:end AS bigint) - 1) s(i)",
    "pad": "lpad(CAST(i AS text), 26, '0')",
    "person": "('39333' || lpad(CAST(i % CAST(:people AS bigint) AS text), 7, '0'))",
    "noise": "upper(substr(md5(random()::text), 1, 20))",
    "bytes": "decode(md5(random()::text) || md5(random()::text), 'hex')",
}


async def seed(store: Store, messages: int) -> None:
    """Fill an empty database with ``messages`` that are all done."""
    people = max(PEOPLE, messages // 5)
    for file, rows in (("people.sql", people), ("seed.sql", messages)):
        for first in range(0, rows, _BATCH):
            span = (first, min(first + _BATCH, rows), people)
            await store.run(lambda c, f=file, s=span: _fill(c, f, *s))
    head = {"seq": _EVENTS * messages, "hash": bytes(32)}
    await store.run(
        lambda c: c.execute(text("UPDATE chain SET seq = :seq, hash = :hash"), head)
    )


def _fill(connection: Connection, file: str, first: int, end: int, people: int) -> None:
    values = {
        "first": first,
        "end": end,
        "people": people,
        "webhook": next(webhooks(1)),
        "said": orjson.dumps({"text": TEXTS[0]}).decode(),
        "data": orjson.dumps({"digest": "0" * 64, "kind": "message"}).decode(),
    }
    words = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
    for statement in (HERE / file).read_text().format(**words).split(";\n"):
        if statement.strip():
            used = {name: v for name, v in values.items() if f":{name}" in statement}
            connection.execute(text(statement), used)
