"""Statements of the hot path, compiled once, executed on many rows.

SQLAlchemy works out the parameters of every row anew; for a statement that never
changes that is most of its cost. Here Core writes the SQL, once for each database, and
the rows go to the driver as they are; only times are converted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ClauseElement

from gateway.store.schema import Moment, to_microseconds

Row = Mapping[str, Any]


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

    def __init__(
        self,
        statement: ClauseElement | Mapping[str, ClauseElement],
        columns: Iterable[str] | None = None,
    ) -> None:
        """Prepare ``statement``, perhaps one for each dialect.

        An INSERT without VALUES names its ``columns``; the rows must have just these.
        """
        self._statement = statement
        self._columns = list(columns) if columns is not None else None
        self._plans: dict[str, _Plan] = {}

    def execute(self, connection: Connection, rows: Sequence[Row]) -> CursorResult[Any]:
        """Execute on each of ``rows``, which must not be empty."""
        dialect = connection.dialect
        plan = self._plans.get(dialect.name)
        if plan is None:
            plan = self._plans[dialect.name] = self._plan(dialect)
        return connection.exec_driver_sql(plan.sql, plan.parameters(rows))

    def _plan(self, dialect: Dialect) -> _Plan:
        statement = self._statement
        if isinstance(statement, Mapping):
            statement = statement[dialect.name]
        compiled: Any = statement.compile(dialect=dialect, column_keys=self._columns)
        names = {name: bind for bind, name in compiled.bind_names.items()}
        return _Plan(
            sql=str(compiled),
            names=tuple(compiled.positiontup) if compiled.positional else None,
            moments=tuple(n for n, b in names.items() if isinstance(b.type, Moment)),
            fixed={n: b.value for n, b in names.items() if not b.required},
        )


def insert_into(table: Table) -> Prepared:
    """Prepare an INSERT of whole rows."""
    return Prepared(table.insert(), [column.name for column in table.columns])


def insert_new_into(table: Table, columns: Iterable[str] | None = None) -> Prepared:
    """Prepare an INSERT that passes over rows whose key is there already."""
    return Prepared(
        {
            "sqlite": sqlite.insert(table).on_conflict_do_nothing(),
            "postgresql": postgresql.insert(table).on_conflict_do_nothing(),
        },
        columns or [column.name for column in table.columns],
    )
