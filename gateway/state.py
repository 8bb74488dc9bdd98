"""A durable key-value space for each plugin: cursors and the like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from gateway.store import Store, schema
from gateway.store.prepared import Insertion


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
        await self.put_many({key: value})

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the JSON values of those ``keys`` that are stored."""
        table = schema.plugin_state
        statement = select(table.c.key, table.c.value).where(
            table.c.plugin == self._plugin, table.c.key.in_(list(keys))
        )
        rows = await self._store.read(
            lambda connection: connection.execute(statement).all()
        )
        return {row.key: orjson.loads(row.value) for row in rows}

    async def find(self, prefix: str) -> dict[str, Any]:
        """Return the JSON values of all keys that begin with ``prefix``."""
        table = schema.plugin_state
        statement = select(table.c.key, table.c.value).where(
            table.c.plugin == self._plugin,
            table.c.key.startswith(prefix, autoescape=True),
        )
        rows = await self._store.read(
            lambda connection: connection.execute(statement).all()
        )
        return {row.key: orjson.loads(row.value) for row in rows}

    async def remove(self, keys: Iterable[str]) -> None:
        """Forget ``keys``; durable when it returns."""
        table = schema.plugin_state
        statement = delete(table).where(
            table.c.plugin == self._plugin, table.c.key.in_(sorted(keys))
        )

        def work(connection: Connection) -> None:
            connection.execute(statement)

        await self._store.run(work)

    async def put_many(self, values: Mapping[str, Any]) -> None:
        """Store JSON values, all or none; durable when it returns."""
        rows = [
            {"plugin": self._plugin, "key": key, "value": orjson.dumps(value).decode()}
            for key, value in values.items()
        ]
        # One order for all, so that two transactions never wait for each other.
        rows.sort(key=itemgetter("key"))

        def work(connection: Connection) -> None:
            _PUT.execute(connection, rows)

        await self._store.run(work)


_PUT = Insertion(schema.plugin_state, replacing=True)
