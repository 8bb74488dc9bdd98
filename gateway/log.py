"""Logs: one JSON object a line, ids bound, personal data and secrets out by type.

A log line may hold ids, numbers and names of things. What people wrote and how they can
be reached are objects of their own types, and those print as placeholders.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from gateway.errors import GatewayError
from gateway.model import (
    Address,
    Contact,
    Handover,
    Inbound,
    Message,
    Original,
    Outgoing,
)

_PLAIN = (bool, int, float, str, type(None))
_BY_ID = (Contact, Inbound, Message, Original)
_DEEPEST = 6
_FRAMES = 12


def configure(level: str, form: str, stream: TextIO) -> None:
    """Send all logs to ``stream``: ``form`` is ``json`` or ``console``."""
    number = logging.getLevelNamesMapping()[level.upper()]
    last = structlog.dev.ConsoleRenderer() if form == "console" else _render_json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            tell_exception,
            redact,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _adopt_standard_logging(number)


def _render_json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    del logger, name
    return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS).decode()


def redact(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace what may be personal or secret; decided by type, not by pattern."""
    del logger, name
    return {key: safe(value) for key, value in event.items()}


def safe(value: Any, depth: int = 0) -> Any:
    """Return a form of ``value`` that may stand in a log."""
    for kinds, show in _SHOWN:
        if isinstance(value, kinds):
            return show(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(k): safe(v, depth + 1) for k, v in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [safe(each, depth + 1) for each in value]
    return f"<{type(value).__name__}>"


_SHOWN: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((Enum,), lambda value: value.value),
    (_PLAIN, lambda value: value),
    ((Address,), lambda value: f"{value.scheme}:***"),
    (_BY_ID, lambda value: f"{type(value).__name__.lower()} {value.id}"),
    ((Outgoing, Handover), lambda value: f"delivery {value.delivery_id}"),
    ((datetime, Path), str),
)


def tell_exception(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Tell an exception by type and place; its text only if it is one of ours.

    Texts of other errors, and local variables, may hold what somebody wrote.
    """
    del logger, name
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error_type"] = type(error).__qualname__
        event["error_at"] = frames(error.__traceback__)
        if isinstance(error, GatewayError):
            event["error_text"] = str(error)
    return event


def frames(trace: TracebackType | None) -> list[str]:
    """Return where an exception passed, innermost last."""
    summary = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in summary]


class _Forward(logging.Handler):
    """Hands what libraries log to structlog: name and place, never their texts."""

    def emit(self, record: logging.LogRecord) -> None:
        """Forward one record; a library's text may quote what it was given."""
        log: Callable[..., Any] = getattr(
            structlog.get_logger(),
            record.levelname.lower(),
            structlog.get_logger().info,
        )
        log(
            "library",
            library=record.name,
            at=f"{record.filename}:{record.lineno}",
            exc_info=record.exc_info,
        )


def _adopt_standard_logging(level: int) -> None:
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(max(level, logging.WARNING))
