"""The schema's version: made, kept, refused."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from gateway.errors import SchemaMismatch
from gateway.store import migrate, schema
from gateway.store.engine import migration_engine


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
