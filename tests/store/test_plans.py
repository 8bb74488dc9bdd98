"""No statement of the stream looks through a table: an index leads to each row.

A table that is looked through is quick as long as it is small, and then no more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from small_city import Outside, small_city
from sqlalchemy import Connection, Engine, event, text
from test_standing import OnePerson

from gateway import blocks, deadlines, people
from gateway.channel import Rate
from gateway.errors import DeliveryError
from gateway.inquiries import StoredCases
from gateway.model import ChannelId, Item
from gateway.store import schema

VERBS = re.compile(r"\s*(SELECT|UPDATE|DELETE|INSERT)\b")
# What is looked through is no table of ours, or an index that holds just what is meant.
NO_TABLE = re.compile(r" VIRTUAL TABLE | CONSTANT ROW|^SCAN \(| ix_job_(running|due)\b")
# A migration may look through a table.
ONCE = (
    "SET closed_at = coalesce(",
    "SET begun_at = created_at",
    "action = 'contact.moved' ORDER BY seq",
)
OUTSIDE = str(schema.job.select())  # how the city of the tests looks at open work

# One row, or one for each plugin, year or mailbox, or what is used up at this moment:
# there is nothing to look through.
SMALL = {"chain", "counter", "lease", "rate", "alembic_version"}


@pytest.fixture
def statements() -> Iterator[dict[str, tuple | dict]]:
    """What is executed, each statement once, with parameters of one execution."""
    seen: dict[str, tuple | dict] = {}

    def note(  # noqa: PLR0917 (SQLAlchemy's signature)
        connection, cursor, statement, parameters, context, executemany
    ):
        once = any(part in statement for part in ONCE)
        ours = statement != OUTSIDE and not once
        if VERBS.match(statement) and ours:
            one = parameters[0] if executemany else parameters
            seen.setdefault(statement, one)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def scans(connection: Connection, statement: str, parameters: tuple | dict) -> set[str]:
    """Return the tables that a statement looks through."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        details = [row[3] for row in rows if not NO_TABLE.search(row[3])]
        return {each.split()[1] for each in details if each.startswith("SCAN ")}
    tree = connection.exec_driver_sql(
        f"EXPLAIN (FORMAT JSON) {statement}", parameters
    ).scalar_one()
    return set(looked_through(tree[0]["Plan"]))


def looked_through(node: dict) -> Iterator[str]:
    """Return the tables below a node of PostgreSQL's plan that have no way in."""
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from looked_through(child)


def _block(connection: Connection) -> None:
    contact = people.by_name(connection, "phone:anna")
    blocks.block(connection, contact, "r", "staff", mirrors=["phone"])


async def test_every_row_is_reached_by_an_index(tmp_path, url, statements):
    """Texts, files, a retry, answers, a fallback, a block: no table is scanned."""
    outside = Outside(rates=[Rate(per_second=1000, burst=9, each_recipient=True)])
    outside.office_faults = [DeliveryError("refused", "no", retryable=False)]
    urp = 'connectors = [{ type = "office" }, { type = "spare" }]'
    async with small_city(tmp_path, url=url, outside=outside, urp=urp) as city:
        city.outside.files = {"f": [b"a file"]}
        city.outside.faults = [DeliveryError("busy", "no", retryable=True)]
        await city.say(text="una buca", files=["f"])
        await city.settle()
        await city.say(text="ancora la buca")
        await city.say(sender="bea", text="un lampione")
        await city.settle()
        await city.say(sender="bea", text="stato")
        again = Item(external_id="m1", sender="anna")
        await city.gateway.inbox.accept("phone", b'{"from": "anna"}', [again])
        sent = city.outside.notices[0].delivery_id
        await city.report("delivered", of=f"sent-{sent}")
        handed = city.outside.handovers[0].delivery_id
        number = city.outside.handovers[0].case.number
        await city.say(sender="urp", scheme="service", subject=number, text="fatto")
        await city.say(
            channel="mail",
            sender="urp@office",
            text="fatto",
            references=[f"<{handed}@office>"],
        )
        await city.settle()
        await city.gateway.store.run(_block)
        await city.settle()
        await city.say(text="un insulto", files=["f"])
        await city.settle(waiting=1)
        await asyncio.sleep(0.2)  # a tick and a claim of nothing

        assert {} == await city.gateway.store.read(looker(statements))

    assert len(statements) > 40


async def test_ladder_is_climbed_by_indexes(tmp_path, url, statements):
    """Words, a refusal, the other address, words that take it back: no scan."""
    refused = DeliveryError("refused", "no", retryable=False)
    async with small_city(tmp_path, OnePerson(), url=url) as city:
        await city.say(channel="letter", sender="anna-letter", text="un lampione")
        await city.settle()
        await city.say(sender="anna", text="una buca")
        await city.settle()
        await city.say(sender="anna", text="risposte via letter sì")
        await city.settle()
        city.outside.faults += [refused, DeliveryError("busy", "no", retryable=True)]
        handed = city.outside.handovers[-1].delivery_id
        named = [f"<{handed}@office>"]
        await city.say(sender="urp@office", text="fatto", references=named)
        await city.settle()
        await city.say(sender="anna", text="risposte via letter no")
        await city.settle()
        await city.say(sender="anna", moved_to="anna-new")
        await city.settle()

        assert {} == await city.gateway.store.read(looker(statements))
        rungs = {row.rung for row in await city.rows(schema.delivery)}
        assert {None, "other_address"} == rungs


async def test_deadlines_are_reached_by_an_index(tmp_path, url, statements):
    """Set, reminded of, passed and counted: no table is scanned."""
    rules = 'deadline_hours = 9\nremind_before_hours = 3\nescalate_to = "strade"\n'
    async with small_city(tmp_path, url=url, sections=f"[deadlines]\n{rules}") as city:
        await city.say(text="una buca")
        await city.settle(waiting=1)
        handovers = city.outside.handovers
        await city.gateway.store.run(_bring_forward)
        await city.until(lambda: len(handovers) == 2)
        await city.settle(waiting=1)
        await city.gateway.store.run(_pass_deadlines)
        await city.settle()
        await city.gateway.store.read(deadlines.count_overdue)
        statements = {s: p for s, p in statements.items() if "_at = 0" not in s}

        assert {} == await city.gateway.store.read(looker(statements))
        assert 3 == len(handovers)


async def test_inquiries_are_reached_by_an_index(tmp_path, url, statements):
    """By item, by number and by time: no table is scanned."""
    async with small_city(tmp_path, url=url) as city:
        await city.say(text="una buca")
        await city.settle()
        cases = StoredCases(city.gateway.store)
        number = city.outside.handovers[0].case.number
        statements.clear()
        now = datetime.now(UTC)
        time = (now - timedelta(days=90), now)
        found = [
            *(await cases.of_items(ChannelId("phone"), ["m1"])).values(),
            *await cases.numbered(ChannelId("phone"), [number]),
            *await cases.opened(ChannelId("phone"), *time, closed=False),
            *await cases.opened(ChannelId("phone"), *time, prefixes=["m", "n"]),
        ]

        assert [number] * 4 == [view.number for view in found]
        assert {} == await city.gateway.store.read(looker(statements))


def _bring_forward(connection: Connection) -> None:
    connection.execute(text("UPDATE job SET due_at = 0 WHERE state = 'waiting'"))


def _pass_deadlines(connection: Connection) -> None:
    connection.execute(text("UPDATE cases SET deadline_at = 0 WHERE number > ''"))
    _bring_forward(connection)


def looker(
    statements: dict[str, tuple | dict],
) -> Callable[[Connection], dict[str, set[str]]]:
    """Return what finds the statements that look through a table."""

    def look(connection: Connection) -> dict[str, set[str]]:
        if connection.dialect.name == "postgresql":
            # Small tables are looked through by choice: leave only who has to.
            connection.execute(text("SET enable_seqscan = off"))
        return {
            statement: found
            for statement, parameters in dict(statements).items()
            if (found := scans(connection, statement, parameters) - SMALL)
        }

    return look
