"""From which state a case may come to which, and who is told otherwise."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import Connection

from gateway import states
from gateway.errors import CaseError
from gateway.model import CaseStatus, ServiceId
from gateway.store import Store, schema
from gateway.store.units import now

DRAWN = {
    "case.assigned": "new",
    "case.settled": "waiting",
    "case.answered": "assigned new reopened waiting",
    "case.unanswered": "answered",
    "case.reassigned": "answered assigned new reopened waiting",
    "case.closed": "answered assigned new reopened waiting",
    "case.reopened": "closed",
    "case.merged": "answered assigned closed new reopened waiting",
}
PAIRS = [(t, s) for t in states.TABLE for s in CaseStatus]


def _case(connection: Connection, status: CaseStatus, **values: object) -> None:
    at = now(connection)
    connection.execute(schema.contact.insert().values(id="anna", name=""))
    connection.execute(
        schema.conversation.insert().values(
            id="c", channel="p", contact_id="anna", reply_to="", last_inbound_at=at
        )
    )
    row = {"id": "1", "number": "URP-1", "conversation_id": "c", "service": "urp"}
    row |= {"status": status.value, "opened_at": at, "last_message_at": at}
    connection.execute(schema.cases.insert().values(**row, **values))


async def _look(store: Store) -> tuple[list, list]:
    cases = await store.read(lambda c: c.execute(schema.cases.select()).all())
    return cases, await store.read(lambda c: c.execute(schema.event.select()).all())


def test_table_is_as_it_is_drawn():
    """Each action has its sources, and no other."""
    drawn = {t.action: " ".join(sorted(t.sources)) for t in states.TABLE}

    assert DRAWN == drawn


@pytest.mark.parametrize(
    ("transition", "status"), PAIRS, ids=lambda each: getattr(each, "action", each)
)
async def test_each_pair(store: Store, transition, status):
    """What is allowed is done and on the record; what isn't changes nothing."""
    allowed = status in transition.sources
    move = states.Move(case_id="1", by="staff:x", service=ServiceId("strade"))
    await store.run(lambda c: _case(c, status))

    gone = await store.run(lambda c: states.change(c, transition, [move]))

    (case,), events = await _look(store)
    assert ({"1"} if allowed else set()) == gone
    expected = (transition.to, "strade") if allowed else (status, "urp")
    assert expected == (case.status, case.service)
    closed = allowed and transition.to is CaseStatus.CLOSED
    assert closed is (case.closed_at is not None)
    assert ([transition.action] if allowed else []) == [e.action for e in events]
    for event in events:
        data = orjson.loads(event.data)
        told = (event.actor, data["from_status"], data["to_status"])
        assert ("staff:x", status.value, transition.to.value) == told


async def test_staff_read_what_can_be_done(store: Store):
    """The number, where it stands, and from where it could go."""
    await store.run(lambda c: _case(c, CaseStatus.NEW))
    move = states.Move(case_id="1", by="staff:x")

    with pytest.raises(CaseError, match="URP-1 is new: only what is closed can be reo"):
        await store.run(lambda c: states.require(c, states.REOPENED, move))


async def test_another_service_takes_nothing_over(store: Store):
    """Who has it no more can't say that its service has it."""
    await store.run(lambda c: _case(c, CaseStatus.NEW))
    move = states.Move(case_id="1", by="gateway", held_by=ServiceId("strade"))

    assert set() == await store.run(
        lambda c: states.change(c, states.HANDED_OVER, [move])
    )


async def test_merged_case_stays_where_it_is(store: Store):
    """Nothing leads back from there."""
    await store.run(lambda c: _case(c, CaseStatus.CLOSED, merged_into="2"))
    move = states.Move(case_id="1", by="staff:x")

    for transition in states.TABLE:
        gone = await store.run(lambda c, t=transition: states.change(c, t, [move]))
        assert set() == gone


async def test_a_case_is_changed_once(store: Store):
    """Of two who close it, one does."""
    await store.run(lambda c: _case(c, CaseStatus.NEW))
    move = states.Move(case_id="1", by="staff:x")

    def close(connection: Connection) -> set[str]:
        return states.change(connection, states.CLOSED, [move, move])

    assert [{"1"}, set()] == [await store.run(close), await store.run(close)]
    _, events = await _look(store)
    assert 1 == len(events)
