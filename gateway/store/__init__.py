"""The store: units of work on SQLite or PostgreSQL.

One unit of work is one plain function ``def work(connection) -> T`` in SQLAlchemy
Core, run wholly inside a database thread, begin to commit. There is no await inside a
transaction, so a cancelled task can't leave one open.
"""

from gateway.store.engine import open_store
from gateway.store.units import BatchWork, Store, Work

__all__ = ["BatchWork", "Store", "Work", "open_store"]
