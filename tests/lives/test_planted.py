"""Each bug that is planted comes to light: the lives in `test_lives` can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool
from test_lives import live
from town import Broken

from gateway import (
    cases,
    consents,
    handing,
    jobs,
    ladder,
    named,
    records,
    referring,
    standing,
    states,
)
from gateway import telling as voice
from gateway.referring import Standing
from gateway.store import schema
from gateway.store.engine import tune_writer

TELL, ADVANCE = voice.tell, cases._advance


def anybody(connection, conversation_ids):
    """Take all citizens for one: staff merge the cases of two."""
    return {"somebody"}


def wherever(keys, conversation_id, places):
    """File a message wherever it says, though that is another's case."""
    return next((places[key].case_id for key in keys if key in places), None)


def of_anybody(contact_ids, city):
    """Tell everybody how everybody's cases stand."""
    return select(schema.cases)


def to_the_first(connection, words):
    """Tell all who wait for a word in the conversation of the first."""
    first = words[0].conversation_id if words else ""
    return TELL(connection, [replace(w, conversation_id=first) for w in words])


def as_looked_up(connection, said):
    """Take what an answer refers to as it was when it was looked up."""
    rows = {
        row.id: cases.from_row(row) for row in connection.execute(select(schema.cases))
    }
    return [Standing(referred=each, case=rows.get(each.case_id)) for each in said]


def unguarded(connection, statement, rows):
    """Let a worker record what is another's by now."""
    statement.execute(connection, rows)


def always(row, transition, move):
    """Let a case go from anywhere to anywhere."""
    return row is not None


def every_other(connection, counter, step):
    """Leave a number out."""
    return ADVANCE(connection, counter, step + 1)


def whoevers(connection, contact_id):
    """Answer wherever anybody agreed to be answered."""
    return list(connection.execute(select(schema.consent)))


def never(connection, delivery_ids):
    """Let an answer leave for where its citizen no longer wants it."""
    return set()


def nothing(connection, turned, **more):
    """Hand nothing to the service that has the case now."""
    return set()


PLANTED = [
    (named, "citizens", anybody),
    (records, "_case_of", wherever),
    (standing, "_of", of_anybody),
    (voice, "tell", to_the_first),
    (referring, "by_now", as_looked_up),
    (jobs, "_guarded", unguarded),
    (states, "_may", always),
    (cases, "_advance", every_other),
    (handing, "turn", nothing),
    (consents, "of_contact", whoevers),
    (ladder, "lapsed", never),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "name", "bug"), PLANTED, ids=lambda each: getattr(each, "__name__", each)
)
def test_planted_bug_comes_to_light(monkeypatch, module, name, bug):
    """By what somebody reads, by the judge, or by the database itself."""
    monkeypatch.setattr(module, name, bug)
    engine = create_engine("sqlite://", poolclass=StaticPool)
    tune_writer(engine, checkpoint_pages=0)

    with pytest.raises((Broken, IntegrityError)):
        live(engine, 1_000, Phase.generate)
    engine.dispose()
