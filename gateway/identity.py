"""Ids of our own making: UUIDv7 (RFC 9562), which sort by time of birth."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """Return a new id; a simulation puts a counted one in its place."""
    return str(uuid_utils.uuid7())
