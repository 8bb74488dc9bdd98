"""A durable key-value space for each plugin: cursors and the like."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store import Store, schema


class StoredState:
    """One plugin's space in the store (`gateway.plugin.PluginState`)."""

    def __init__(self, store: Store, plugin: str) -> None:
        """Keep the values of ``plugin`` apart from the others'."""
        self._store = store
        self._plugin = plugin

    async def get(self, key: str) -> Any | None:
        """Return the JSON value stored under ``key``."""
        table = schema.plugin_state
        statement = select(table.c.value).where(
            table.c.plugin == self._plugin, table.c.key == key
        )
        found = await self._store.read(
            lambda connection: connection.execute(statement).scalar_one_or_none()
        )
        return None if found is None else orjson.loads(found)

    async def put(self, key: str, value: Any) -> None:
        """Store a JSON value; durable when it returns."""
        row = {
            "plugin": self._plugin,
            "key": key,
            "value": orjson.dumps(value).decode(),
        }

        def work(connection: Connection) -> None:
            connection.execute(_UPSERT[connection.dialect.name], row)

        await self._store.run(work)


_KEY = ["plugin", "key"]
_sqlite = sqlite.insert(schema.plugin_state)
_postgresql = postgresql.insert(schema.plugin_state)
_UPSERT = {
    "sqlite": _sqlite.on_conflict_do_update(
        index_elements=_KEY, set_={"value": _sqlite.excluded.value}
    ),
    "postgresql": _postgresql.on_conflict_do_update(
        index_elements=_KEY, set_={"value": _postgresql.excluded.value}
    ),
}
