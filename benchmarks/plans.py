"""How the database reaches its rows in each statement of the hot path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from processes import ROOT
from sqlalchemy import Connection, Engine, event

BUILD = ROOT / "build"
_SEARCHES = re.compile(r"\b(SELECT|UPDATE|DELETE)\b")
_NODES = ("Node Type", "Relation Name", "Index Name")


class Plans:
    """Notes statements as they are executed, each once, and explains them later."""

    def __init__(self) -> None:
        """Note nothing yet."""
        self._statements: dict[str, Any] = {}

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is executed inside the block."""
        event.listen(Engine, "before_cursor_execute", self._note)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", self._note)

    def _note(  # noqa: PLR0913, PLR0917 (SQLAlchemy's signature)
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: Any,
    ) -> None:
        del connection, cursor, context
        if _SEARCHES.search(statement) and "advisory" not in statement:
            one = parameters[0] if executemany else parameters
            self._statements.setdefault(statement, one)

    def explain(self, connection: Connection) -> list[str]:
        """Return a line for each way to a row that some statement takes."""
        explain = _sqlite if connection.dialect.name == "sqlite" else _postgresql
        lines = {
            line
            for statement, parameters in self._statements.items()
            for line in explain(connection, statement, parameters)
        }
        return sorted(lines)


def _sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    details = [row[3] for row in rows]
    return [each for each in details if each.startswith(("SCAN ", "SEARCH "))]


def _postgresql(connection: Connection, statement: str, parameters: Any) -> list[str]:
    found = connection.exec_driver_sql(
        f"EXPLAIN (FORMAT JSON) {statement}", parameters
    ).scalar_one()
    tree = orjson.loads(found) if isinstance(found, str) else found
    return list(_nodes(tree[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"].endswith(("Scan", "Modify")) and (
        "Relation Name" in node or "Index Name" in node
    ):
        yield " ".join(node[name] for name in _NODES if name in node)
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def keep_plans(database: str, lines: list[str]) -> None:
    """Leave what was found for the page."""
    BUILD.mkdir(exist_ok=True)
    (BUILD / f"plans-{database}.txt").write_text("\n".join(lines) + "\n")


def kept_plans() -> dict[str, str]:
    """Return what was found last, by database."""
    return {
        file.stem.removeprefix("plans-"): file.read_text().strip()
        for file in sorted(BUILD.glob("plans-*.txt"))
    }
