"""The figures of a period, read from both databases."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, insert

from gateway import figures, open_data
from gateway.figures import Figures, Period, Spell
from gateway.hours import Hours, Shift
from gateway.store import Store, schema

ROME = ZoneInfo("Europe/Rome")
NOVEMBER = Period(
    start=datetime(2026, 11, 1, tzinfo=ROME),
    end=datetime(2026, 12, 1, tzinfo=ROME),
    timezone=ROME,
)
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(UTC)


class Town:
    """Rows of a town, as the gateway would have written them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._count = 0
        self._put(schema.contact, id="k", name="Anna")
        for channel in ("whatsapp", "pec"):
            self._put(
                schema.conversation,
                id=channel,
                channel=channel,
                contact_id="k",
                reply_to="phone:anna",
                last_inbound_at=at("2026-11-01"),
            )

    def _put(self, table: Any, **values: Any) -> None:
        self._connection.execute(insert(table).values(**values))

    def _id(self, born: datetime) -> str:
        self._count += 1
        milliseconds = int(born.timestamp() * 1000)
        return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | self._count))

    def case(
        self,
        opened: str,
        answered: str = "",
        closed: str = "",
        *,
        service: str = "strade",
        channel: str = "whatsapp",
        **more: Any,
    ) -> str:
        """Put a case with its first message; return its id."""
        case_id = self._id(at(opened))
        status = "closed" if closed else "answered" if answered else "assigned"
        self._put(
            schema.cases,
            id=case_id,
            number=f"URP-{self._count}",
            conversation_id=channel,
            service=service,
            status=status,
            opened_at=at(opened),
            last_message_at=at(opened),
            closed_at=at(closed) if closed else None,
            **more,
        )
        for when, word in ((answered, "answered"), (closed, "closed")):
            if when:
                self._count += 1
                self._put(
                    schema.event,
                    seq=self._count,
                    at=at(when),
                    action=f"case.{word}",
                    subject=case_id,
                    actor="x",
                    data="{}",
                    hash=b"",
                )
        self.message(opened, case_id, channel=channel)
        return case_id

    def message(
        self,
        when: str,
        case_id: str | None = None,
        *,
        state: str = "processed",
        rule: str = "",
        channel: str = "whatsapp",
        district: str = "Centro",
    ) -> None:
        """Put a citizen's message, and a verdict if it broke a ``rule``."""
        message_id = self._id(at(when))
        self._put(
            schema.message,
            id=message_id,
            direction="in",
            author="citizen",
            state=state,
            reason="",
            channel=channel,
            external_id=message_id,
            conversation_id=channel,
            case_id=case_id,
            body=f'{{"text": "segreto", "location": {{"district": "{district}"}}}}',
            created_at=at(when),
        )
        if rule:
            self._put(
                schema.verdict,
                message_id=message_id,
                position=0,
                action="hold",
                rule=rule,
                reason="",
                source="x",
                evidence="[]",
            )


def _november(connection: Connection) -> None:
    town = Town(connection)
    town.case("2026-11-02T09:00", "2026-11-02T11:00", "2026-11-03T10:00")
    town.case("2026-11-06T12:00", "2026-11-09T10:00", service="verde", channel="pec")
    town.case("2026-11-30T23:59")
    town.case("2026-10-31T23:59", "2026-11-03T09:00", "2026-11-20T09:00")
    town.case("2026-08-01T09:00")
    town.case("2026-12-01T00:00")
    town.case("2026-11-05T09:00", closed="2026-12-24T09:00")
    merged = town.case("2026-11-05T09:00", closed="2026-11-05T10:00", merged_into="x")
    town.message("2026-11-05T09:30", merged)
    town.message("2026-11-07T02:00", state="held", rule="insult")
    town.message("2026-11-07T03:00", state="rejected", rule="insult")


OFFICE = Hours(
    ROME,
    lambda day: () if day.weekday() > 4 else (Shift(start=9 * HOUR, end=13 * HOUR),),
)


async def _read(store: Store, hours: dict[Any, Hours]) -> Figures:
    await store.run(_november)
    return await store.read(lambda c: figures.read(c, NOVEMBER, hours))


async def test_volumes(store: Store):
    """What came in the period, to the minute, by the clock of the city."""
    found = await _read(store, {})

    assert {"whatsapp": 7, "pec": 1} == found.by_channel
    assert {"strade": 5, "verde": 1} == found.by_service
    assert {2: 1, 3: 1, 9: 4, 12: 1, 23: 1} == found.by_hour
    assert {0: 2, 3: 3, 4: 1, 5: 2} == found.by_weekday
    assert {"processed": 6, "held": 1, "rejected": 1} == found.by_state
    assert {("hold", "insult"): 2} == found.verdicts
    assert {"strade": 3, "verde": 1} == found.opened


async def test_durations_in_working_hours(store: Store):
    """Nights and weekends don't count; without hours they do."""
    office = await _read(store, {None: OFFICE})
    plain = await store.read(lambda c: figures.read(c, NOVEMBER, {}))

    assert Spell(count=1, median=2.0, ninety=2.0) == office.answered["verde"]
    assert Spell(count=1, median=70.0, ninety=70.0) == plain.answered["verde"]
    assert 3 == office.answered[None].count
    assert 2.0 == office.answered[None].median
    assert 2 == office.closed["strade"].count


async def test_backlog_at_the_end(store: Store):
    """What is open then, also if it came before, or was closed later."""
    found = await _read(store, {})

    assert {
        ("strade", 1): 1,
        ("strade", 30): 1,
        ("strade", math.inf): 1,
        ("verde", 30): 1,
    } == found.backlog


async def test_open_data_tell_of_nobody(store: Store):
    """A row has its month and coarse spans; neither number, text nor date."""
    await store.run(_november)

    def work(connection: Connection) -> list[open_data.Row]:
        found = figures.courses(connection, NOVEMBER, bodies=True)
        return [open_data.row_of(each, ROME) for each in found]

    rows = await store.read(work)
    assert 4 == len(rows)
    assert open_data.Row(
        "2026-11", "whatsapp", "strade", "Centro", "closed", "0-1", "1-3"
    ) == min(rows, key=lambda row: row.days_to_close or "9")


@pytest.mark.parametrize(
    ("took", "median", "ninety"),
    [([3.0], 3, 3), ([1.0, 2.0], 1.5, 2), ([float(n) for n in range(1, 11)], 5.5, 9)],
)
def test_median_and_ninety(took, median, ninety):
    """Nine of ten is the nearest rank: a duration that there was."""
    assert Spell(count=len(took), median=median, ninety=ninety) == figures._spell(took)
