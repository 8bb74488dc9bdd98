"""The schema's version: which one the database has, and how it gets to ours.

Alembic is imported only when there is something to migrate: it costs start-up time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gateway.errors import SchemaMismatch, StoreUnavailable
from gateway.store.engine import migration_engine
from gateway.store.schema import REVISION

if TYPE_CHECKING:
    from alembic.config import Config

HERE = Path(__file__).parent / "migrations"


def current_revision(url: str) -> str | None:
    """Return the database's revision; None if it is empty.

    Raises:
        StoreUnavailable: it can't be opened; the text says which, and why.

    """
    engine = None
    try:
        engine = migration_engine(url)
        with engine.connect() as connection:
            return _revision(connection)
    except (DBAPIError, OSError) as error:
        message = f"the database {_name(url)} can't be opened: {_reason(error)}"
        raise StoreUnavailable(message) from error
    finally:
        if engine is not None:
            engine.dispose()


def _name(url: str) -> str:
    """Name a database without who logs in, and with what."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.database} at {parsed.host or 'the local socket'}{port}"


def _reason(error: DBAPIError | OSError) -> str:
    """Return the driver's words: before there is a connection, they hold no data."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return next(iter(str(error.orig).splitlines()), type(error.orig).__name__)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version"))
    return found.scalar_one_or_none()


def upgrade(url: str) -> str | None:
    """Bring the database to our revision; return the one it had.

    Raises:
        SchemaMismatch: a newer gateway wrote it.

    """
    before = current_revision(url)
    if before == REVISION:
        return before
    _refuse_newer(before)
    from alembic import command  # noqa: PLC0415 (0.2 s that most starts don't need)

    engine = migration_engine(url)
    try:
        with engine.begin() as connection:
            configuration = alembic_config()
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
    finally:
        engine.dispose()
    return before


def require_current(url: str) -> None:
    """Refuse to work on a database of another version.

    Raises:
        SchemaMismatch: the text says which version it needs and what to do.

    """
    revision = current_revision(url)
    if revision == REVISION:
        return
    _refuse_newer(revision)
    message = (
        f"the database has schema {revision or 'none'}, this gateway needs {REVISION}:"
        " run `gateway migrate`"
    )
    raise SchemaMismatch(message)


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision > REVISION:
        message = (
            f"the database has schema {revision}, this gateway knows up to {REVISION}:"
            f" install a version of municipal-gateway that has schema {revision}"
        )
        raise SchemaMismatch(message)


def alembic_config() -> Config:
    """Return Alembic's configuration for our migrations."""
    from alembic import config  # noqa: PLC0415 (see above)

    configuration = config.Config()
    configuration.set_main_option("script_location", str(HERE))
    return configuration


def prepare(url: str) -> None:
    """Make sure that the daemon can work: a new or embedded database is migrated.

    A PostgreSQL database in use is not: other nodes may run another version.

    Raises:
        SchemaMismatch: a newer gateway wrote it, or `gateway migrate` is due.

    """
    if url.startswith("sqlite") or current_revision(url) is None:
        upgrade(url)
    else:
        require_current(url)
