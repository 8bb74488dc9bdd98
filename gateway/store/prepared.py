"""Statements of the hot path, compiled once, executed on many rows.

SQLAlchemy works out the parameters of every row anew; for a statement that never
changes that is most of its cost. Here the SQL is written once for each database, and
the rows go to the driver as they are; only times are converted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import Connection, CursorResult, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ClauseElement

from gateway.store.schema import Moment, to_microseconds

Row = Mapping[str, Any]

_MOST_ROWS: Final = 256
"""Rows of one INSERT; there is a statement for each number of them."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A statement as one driver takes it."""

    sql: str
    names: tuple[str, ...] | None
    """Parameters by position; None if the driver takes them by name."""
    moments: tuple[str, ...]
    fixed: Row
    """Values that the statement itself brings."""

    def parameters(self, rows: Sequence[Row]) -> list[Any]:
        if self.fixed:
            rows = [{**self.fixed, **row} for row in rows]
        if self.moments:
            rows = [self._converted(row) for row in rows]
        if self.names is None:
            return list(rows)
        names = self.names
        return [tuple([row[name] for name in names]) for row in rows]

    def _converted(self, row: Row) -> dict[str, Any]:
        converted = dict(row)
        for name in self.moments:
            at: datetime | None = converted[name]
            if at is not None:
                converted[name] = to_microseconds(at)
        return converted


class Prepared:
    """A statement that is executed on many rows at once."""

    def __init__(self, statement: ClauseElement) -> None:
        """Prepare ``statement``."""
        self._statement = statement
        self._plans: dict[str, _Plan] = {}

    def execute(self, connection: Connection, rows: Sequence[Row]) -> CursorResult[Any]:
        """Execute on each of ``rows``, which must not be empty."""
        dialect = connection.dialect
        plan = self._plans.get(dialect.name)
        if plan is None:
            plan = self._plans[dialect.name] = self._plan(dialect)
        return connection.exec_driver_sql(plan.sql, plan.parameters(rows))

    def _plan(self, dialect: Dialect) -> _Plan:
        compiled: Any = self._statement.compile(dialect=dialect)
        names = {name: bind for bind, name in compiled.bind_names.items()}
        return _Plan(
            sql=str(compiled),
            names=tuple(compiled.positiontup) if compiled.positional else None,
            moments=tuple(n for n, b in names.items() if isinstance(b.type, Moment)),
            fixed={n: b.value for n, b in names.items() if not b.required},
        )


class Insertion:
    """An INSERT of many rows, a few statements in all.

    A statement for each row would hand the interpreter's lock over, and on PostgreSQL
    the turn to the server, as often. SQLite gets rows of VALUES, PostgreSQL one JSON
    document, whatever the number of rows.
    """

    def __init__(
        self,
        table: Table,
        columns: Iterable[str] = (),
        *,
        only_new: bool = False,
        replacing: bool = False,
    ) -> None:
        """Insert into ``columns``, or all.

        What is there already under the primary key stays (``only_new``), or has its
        other columns replaced (``replacing``).
        """
        self._columns = tuple(columns) or tuple(c.name for c in table.columns)
        self._moments = tuple(
            (place, name)
            for place, name in enumerate(self._columns)
            if isinstance(table.columns[name].type, Moment)
        )
        names = ", ".join(f'"{name}"' for name in self._columns)
        self._into = f'INSERT INTO "{table.name}" ({names})'
        self._end = " ON CONFLICT DO NOTHING" if only_new else ""
        if replacing:
            keys = [column.name for column in table.primary_key]
            others = [name for name in self._columns if name not in keys]
            values = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
            self._end = f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {values}"
        source = f'json_populate_recordset(NULL::"{table.name}", %(rows)s)'
        # Names of our own tables only.
        self._from_json = f"{self._into} SELECT {names} FROM {source}{self._end}"  # noqa: S608
        self._values = cache(self._write_values)

    def execute(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Insert ``rows``, each with all the columns; return how many were."""
        if not rows:
            return 0
        if connection.dialect.name == "postgresql":
            document = orjson.dumps(self._stamped(rows), default=_to_bytea).decode()
            return connection.exec_driver_sql(
                self._from_json, {"rows": document}
            ).rowcount
        inserted = 0
        for start in range(0, len(rows), _MOST_ROWS):
            part = rows[start : start + _MOST_ROWS]
            result = connection.exec_driver_sql(
                self._values(len(part)), self._flat(part)
            )
            inserted += result.rowcount
        return inserted

    def _write_values(self, count: int) -> str:
        marks = f"({', '.join('?' * len(self._columns))})"
        return f"{self._into} VALUES {', '.join([marks] * count)}{self._end}"

    def _flat(self, rows: Sequence[Row]) -> tuple[Any, ...]:
        """Return the values of all rows, one after the other."""
        columns = self._columns
        values = [row[name] for row in rows for name in columns]
        for place, _ in self._moments:
            values[place :: len(columns)] = _stamps(values[place :: len(columns)])
        return tuple(values)

    def _stamped(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows with times as they are stored."""
        columns = {
            name: list(_stamps([row[name] for row in rows]))
            for _, name in self._moments
        }
        return [
            {**row, **{name: stamps[number] for name, stamps in columns.items()}}
            for number, row in enumerate(rows)
        ]


def _stamps(moments: Iterable[datetime | None]) -> Iterator[int | None]:
    """Convert times; those of one transaction are mostly one and the same."""
    last, stamp = None, None
    for at in moments:
        if at is not last:
            last, stamp = at, None if at is None else to_microseconds(at)
        yield stamp


def _to_bytea(value: object) -> str:
    """Write bytes as PostgreSQL reads them from JSON."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(type(value).__name__)
