"""What must hold of cases at every moment, and what once all work is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson
from sqlalchemy import Connection, text
from town import Town

from gateway import audit
from gateway.store import schema

# Written once more, by hand: the code's own table must not judge itself.
ALLOWED = {
    "case.assigned": ({"new"}, "assigned"),
    "case.answered": ({"new", "waiting", "assigned", "reopened"}, "answered"),
    "case.unanswered": ({"answered"}, "assigned"),
    "case.reassigned": (
        {"new", "waiting", "assigned", "answered", "reopened"},
        "new",
    ),
    "case.closed": (
        {"new", "waiting", "assigned", "answered", "reopened"},
        "closed",
    ),
    "case.reopened": ({"closed"}, "reopened"),
    "case.merged": (
        {"new", "waiting", "assigned", "answered", "reopened", "closed"},
        "closed",
    ),
}


def broken(connection: Connection, town: Town) -> Iterator[str]:
    """Say what is broken."""
    cases = connection.execute(schema.cases.select()).all()
    yield from _numbers(cases, town)
    yield from _states(connection, cases)
    yield from _ends(cases)
    yield from _answers(connection, cases)
    yield from _links(connection, cases)
    yield from _people(connection)


def _numbers(cases: list[Any], town: Town) -> Iterator[str]:
    """One number for each case, for ever; each year's without a gap."""
    years = defaultdict(list)
    for case in cases:
        if town.numbers.setdefault(case.id, case.number) != case.number:
            yield f"{case.number} was {town.numbers[case.id]}"
        _, year, number = case.number.split("-")
        years[year].append(int(number))
    for year, numbers in years.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"numbers of {year} have gaps or doubles: {sorted(numbers)}"


def _states(connection: Connection, cases: list[Any]) -> Iterator[str]:
    """Each case came to where it stands along the table, all of it on the record."""
    stands = {case.id: "new" for case in cases}
    events = connection.execute(
        schema.event.select()
        .where(schema.event.c.action.startswith("case."))
        .order_by(schema.event.c.seq)
    )
    for event in events:
        if event.action not in ALLOWED:
            continue
        data, (sources, to) = orjson.loads(event.data), ALLOWED[event.action]
        was = stands[event.subject]
        if (data["from_status"], data["to_status"]) != (was, to) or was not in sources:
            yield f"{event.action} of {event.subject}, which was {was}: {data}"
        stands[event.subject] = to
    for case in cases:
        if case.status != stands[case.id]:
            yield f"{case.number} is {case.status}, on record {stands[case.id]}"


def _ends(cases: list[Any]) -> Iterator[str]:
    """What is closed has an end; what is merged goes on somewhere; links are flat."""
    known = {case.id: case for case in cases}
    for case in cases:
        if (case.status == "closed") is (case.closed_at is None):
            yield f"{case.number} is {case.status}, closed at {case.closed_at}"
        if case.merged_into is not None:
            if case.status != "closed":
                yield f"{case.number} is merged and {case.status}"
            if known[case.merged_into].merged_into is not None:
                yield f"{case.number} went on where nothing goes on"
        if case.duplicate_of is not None:
            main = known[case.duplicate_of]
            if main.duplicate_of is not None or main.id == case.id:
                yield f"{case.number} is linked to what is no main case"
            if case.merged_into is not None:
                yield f"{case.number} is linked, and merged"


def _answers(connection: Connection, cases: list[Any]) -> Iterator[str]:
    """What is answered has got nothing more from its citizen since."""
    said, answered = {}, {}
    for event in connection.execute(schema.event.select().order_by(schema.event.c.seq)):
        if event.action == "message.processed":
            said[orjson.loads(event.data)["case"]] = event.seq
        elif event.action == "case.answered":
            answered[event.subject] = event.seq
    for case in cases:
        if case.status == "answered" and said.get(case.id, 0) > answered[case.id]:
            yield f"{case.number} is answered, though its citizen has said more"


def _links(connection: Connection, cases: list[Any]) -> Iterator[str]:
    """What is linked to what is on the record, and so is where a merged case went."""
    links, into = {}, {}
    for event in connection.execute(schema.event.select().order_by(schema.event.c.seq)):
        data = orjson.loads(event.data)
        if event.action == "case.linked" and "main" in data:
            links[event.subject] = data["main"]
        elif event.action == "case.unlinked" and "main" in data:
            links.pop(event.subject)
        elif event.action == "case.absorbed":
            into[data["from"]] = event.subject
    for case in cases:
        if case.duplicate_of != links.get(case.id):
            yield f"{case.number} is linked to what is not on the record"
        if case.merged_into != into.get(case.id):
            yield f"{case.number} went where the record does not say"


_ASTRAY = """
    SELECT message.id, cases.number FROM message
      JOIN cases ON cases.id = message.case_id
      JOIN conversation AS said ON said.id = message.conversation_id
      JOIN conversation AS filed ON filed.id = cases.conversation_id
     WHERE said.contact_id <> filed.contact_id OR cases.merged_into IS NOT NULL
"""
_PARTED = """
    SELECT delivery.id, cases.number FROM delivery
      JOIN cases ON cases.id = delivery.case_id
      JOIN message ON message.id = delivery.message_id
     WHERE (cases.merged_into IS NOT NULL OR message.case_id <> delivery.case_id)
       AND message.author = 'citizen'
"""
_SAME = """
    SELECT cases.id, cases.number FROM cases
      JOIN cases AS main ON main.id = cases.duplicate_of
      JOIN conversation AS mine ON mine.id = cases.conversation_id
      JOIN conversation AS theirs ON theirs.id = main.conversation_id
     WHERE mine.contact_id = theirs.contact_id
"""


def _people(connection: Connection) -> Iterator[str]:
    """Every message is in a case of who said it, and so is what was handed over."""
    for query, what in (
        (_ASTRAY, "a message of another, or where nothing goes on"),
        (_PARTED, "a delivery apart from its message"),
        (_SAME, "linked to a case of the same citizen"),
    ):
        for row in connection.execute(text(query)):
            yield f"{row.number}: {what}: {row.id}"


_MISSING = """
    SELECT message.id, cases.number, cases.service FROM message
      JOIN cases ON cases.id = message.case_id
     WHERE message.author = 'citizen' AND message.state = 'processed'
       AND cases.status <> 'closed'
       AND NOT EXISTS (SELECT 1 FROM delivery
                        WHERE delivery.message_id = message.id
                          AND delivery.target = 'service:' || cases.service
                          AND delivery.state = 'sent')
       AND NOT EXISTS (SELECT 1 FROM event WHERE event.action = 'case.rated'
                          AND event.data LIKE '%' || message.id || '%')
"""


def unfinished(connection: Connection, town: Town) -> Iterator[str]:
    """Say what should have been done when nothing is left to do."""
    yield from broken(connection, town)
    for row in connection.execute(text(_MISSING)):
        yield f"{row.number}: {row.service} has never got {row.id}"
    for case in connection.execute(schema.cases.select()):
        if case.status in {"new", "waiting"}:
            yield f"{case.number} is {case.status}, though all is handed over"
    stored = connection.execute(schema.inbox.select()).all()
    if lost := {row.external_id for row in stored} ^ town.said.keys():
        yield f"lost: {sorted(lost)}"
    if (found := audit.verify(connection)).broken_at is not None:
        yield f"the chain: {found.reason}"
