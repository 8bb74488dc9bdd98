"""As much of DBAPI 2 (PEP 249) over APSW as SQLAlchemy's SQLite dialect uses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import apsw

paramstyle = "qmark"
Binary = bytes
sqlite_version_info = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))


class Error(Exception):
    """PEP 249."""


class DatabaseError(Error):
    """PEP 249."""


class OperationalError(DatabaseError):
    """PEP 249: an I/O error, among others."""


class IntegrityError(DatabaseError):
    """PEP 249."""


class ProgrammingError(DatabaseError):
    """PEP 249."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as error:
        raise IntegrityError(str(error)) from error
    except apsw.Error as error:
        raise OperationalError(f"{type(error).__name__}: {error}") from error


class Cursor:
    """Runs a statement and holds all its rows."""

    arraysize = 1

    def __init__(self, raw: apsw.Connection) -> None:
        self._raw = raw
        self._rows: Iterator[tuple] = iter(())
        self.description = None
        self.rowcount = -1
        self.lastrowid = None

    def execute(self, sql, parameters=()):
        self._run("execute", sql, parameters)
        return self

    def executemany(self, sql, parameters):
        self._run("executemany", sql, parameters)
        return self

    def _run(self, method, sql, parameters):
        cursor = self._raw.cursor()
        self.description = None
        cursor.exec_trace = self._note_columns
        before = self._raw.total_changes()
        with _translated():
            self._rows = iter(list(getattr(cursor, method)(sql, parameters)))
        self.rowcount = self._raw.total_changes() - before
        self.lastrowid = self._raw.last_insert_rowid()

    def _note_columns(self, cursor, sql, bindings):
        """Keep the columns: APSW forgets them after the last row."""
        columns = cursor.get_description()
        self.description = [(name, *[None] * 6) for name, _ in columns] or None
        return True

    def fetchone(self):
        return next(self._rows, None)

    def fetchall(self):
        return list(self._rows)

    def fetchmany(self, size=1):
        return [row for row, _ in zip(self._rows, range(size), strict=False)]

    def close(self):
        self._rows = iter(())


class Connection:
    """A connection; transactions begin when somebody says BEGIN."""

    isolation_level = None

    def __init__(self, raw: apsw.Connection) -> None:
        self._raw = raw

    def cursor(self):
        return Cursor(self._raw)

    def execute(self, sql, parameters=()):
        return self.cursor().execute(sql, parameters)

    def create_function(self, name, arguments, function, *, deterministic=False):
        self._raw.create_scalar_function(
            name, function, arguments, deterministic=deterministic
        )

    def commit(self):
        if self._raw.in_transaction:
            self.execute("COMMIT")

    def rollback(self):
        if self._raw.in_transaction:
            self.execute("ROLLBACK")

    def close(self):
        # Without power the last checkpoint fails, and that is right.
        with contextlib.suppress(apsw.IOError):
            self._raw.close(True)


def connect(path: str, vfs: str) -> Connection:
    """Open ``path`` through a virtual file system."""
    with _translated():
        return Connection(apsw.Connection(path, vfs=vfs))
