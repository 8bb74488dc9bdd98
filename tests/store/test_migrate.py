"""The schema's version: made, kept, refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from gateway.errors import SchemaMismatch
from gateway.store import migrate, schema
from gateway.store.engine import migration_engine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_code_and_migrations_agree_on_the_revision():
    """The revision in the code is the head of the migrations."""
    script = ScriptDirectory.from_config(migrate.alembic_config())

    assert schema.REVISION == script.get_current_head()


def test_migrations_make_the_schema_of_the_code(migrated: str):
    """A migrated database differs in nothing from the tables in the code."""
    engine = migration_engine(migrated)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)

        assert [] == compare_metadata(context, schema.metadata)
    engine.dispose()


def test_closed_cases_get_the_time_of_their_end(store_url: str):
    """From the record; of those before it was kept, that of the last message."""
    engine = migration_engine(store_url)
    with engine.begin() as connection:
        configuration = migrate.alembic_config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0004")
        connection.execute(text("INSERT INTO contact VALUES ('c', '')"))
        connection.execute(
            text("INSERT INTO conversation VALUES ('t', 'p', 'c', '', 0)")
        )
        for number, status in enumerate(["assigned", "closed", "closed"]):
            connection.execute(
                text("INSERT INTO cases VALUES (:id, :id, 't', 'urp', :status, 1, 2)"),
                {"id": str(number), "status": status},
            )
        connection.execute(
            schema.event.insert().values(
                seq=1,
                at=EPOCH + timedelta(microseconds=7),
                action="case.closed",
                subject="1",
                actor="",
                data="{}",
                hash=b"",
            )
        )
        command.upgrade(configuration, "0005")
        rows = connection.execute(text("SELECT closed_at FROM cases ORDER BY id"))

        assert [None, 7, 2] == list(rows.scalars())
    engine.dispose()


def test_contacts_that_were_merged_are_known(store_url: str):
    """From the record, the last word of it: who has taken others in is themselves."""
    engine = migration_engine(store_url)
    with engine.begin() as connection:
        configuration = migrate.alembic_config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0009")
        for each in "abcd":
            connection.execute(text("INSERT INTO contact VALUES (:c, '')"), {"c": each})
        for seq, (into, gone) in enumerate([("b", "a"), ("c", "b"), ("b", "d")]):
            connection.execute(
                schema.event.insert().values(
                    seq=seq,
                    at=EPOCH,
                    action="contact.moved",
                    subject=into,
                    actor="",
                    data=f'{{"item": "1", "merged": ["{gone}"]}}',
                    hash=b"",
                )
            )
        command.upgrade(configuration, "0010")
        rows = connection.execute(
            text("SELECT id, merged_into FROM contact ORDER BY id")
        )

        assert [("a", "b"), ("b", None), ("c", None), ("d", "b")] == [*map(tuple, rows)]
    engine.dispose()


def test_upgrade_is_idempotent(migrated: str):
    """Migrating again finds the revision and changes nothing."""
    assert schema.REVISION == migrate.upgrade(migrated)


def test_newer_database_is_refused_and_says_what_it_needs(migrated: str):
    """A database of a newer gateway refuses to start, naming its schema."""
    engine = migration_engine(migrated)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    for check in (migrate.require_current, migrate.upgrade, migrate.prepare):
        with pytest.raises(SchemaMismatch, match="schema 9999.*has schema 9999"):
            check(migrated)


def test_missing_schema_says_how_to_get_it(store_url: str):
    """An empty database is refused with the command that fills it."""
    with pytest.raises(SchemaMismatch, match="run `gateway migrate`"):
        migrate.require_current(store_url)


def test_prepare_fills_an_empty_database(store_url: str):
    """The daemon's first start needs no other command."""
    migrate.prepare(store_url)

    assert schema.REVISION == migrate.current_revision(store_url)
