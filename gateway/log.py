"""Logs: one JSON object a line, ids bound, personal data and secrets out by type.

A log line may hold ids, numbers and names of things. What people wrote and how they can
be reached are objects of their own types, and those print as placeholders.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import Processor, WrappedLogger

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

_BY_ID = (Contact, Inbound, Message, Original)
_INTEGERS = range(-(2**63), 2**64)
"""What orjson can write."""

_DEEPEST = 6
_FRAMES = 12
_CAUSES = 8
_FIRST = ("time", "level", "event")
_LEVELS = ("debug", "info", "warning", "error", "critical")
_METHODS = (*_LEVELS, "exception", "log", "fatal", "msg", "warn")

Event = MutableMapping[str, Any]


def configure(level: str, form: str, stream: TextIO) -> None:
    """Send all logs to ``stream``: ``form`` is ``json`` or ``console``."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            tell_exception,
            redact,
            _renderer(form, stream),
        ],
        wrapper_class=_wrapper(number),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    _adopt_standard_logging(number)
    _adopt_hooks()


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return _render_json
    # Quoted, so that no text of a stranger can forge a line or steer a terminal.
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), repr_native_str=True, timestamp_key="time"
    )


def _render_json(logger: WrappedLogger, name: str, event: Event) -> str:
    del logger, name
    first = {key: event[key] for key in _FIRST if key in event}
    return orjson.dumps({**first, **event}).decode()


def _wrapper(number: int) -> type[Any]:
    """Return structlog's logger of a level, made to redact positional arguments too.

    It would put them into the event's text before any processor sees them.
    """
    filtering: type[Any] = structlog.make_filtering_bound_logger(number)
    names = [*_METHODS, *(f"a{name}" for name in _METHODS)]
    methods = {name: _redacting(getattr(filtering, name)) for name in names}
    return type("RedactingLogger", (filtering,), methods)


def _redacting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def log(self: Any, *args: Any, **values: Any) -> Any:
        return method(self, *map(safe, args), **values)

    return log


class _Lines:
    """Writes lines to a stream; one that can't be written stops nothing.

    A full disk is the moment when the gateway must still answer, and 503 at that.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def redact(logger: WrappedLogger, name: str, event: Event) -> Event:
    """Replace what may be personal or secret; decided by type, not by pattern."""
    del logger, name
    return {key: safe(value) for key, value in event.items()}


def safe(value: Any, depth: int = 0) -> Any:
    """Return a form of ``value`` that may stand in a log, and that JSON can hold."""
    for kinds, show in _SHOWN:
        if isinstance(value, kinds):
            return show(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        deeper = depth + 1
        return {str(safe(k, deeper)): safe(v, deeper) for k, v in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [safe(each, depth + 1) for each in value]
    return f"<{type(value).__name__}>"


def _text(value: object) -> str:
    """Return a text that UTF-8 can hold: file names may bring half characters."""
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _short(error: BaseException) -> str:
    """Tell an exception in a few words: only ours may say what they have to say."""
    name = type(error).__qualname__
    return f"{name}: {_text(error)}" if isinstance(error, GatewayError) else name


_SHOWN: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((Enum,), lambda value: safe(value.value)),
    ((bool, float, type(None)), lambda value: value),
    ((int,), lambda value: value if value in _INTEGERS else "<int>"),
    ((str, datetime, Path), _text),
    ((Address,), lambda value: f"{value.scheme}:***"),
    (_BY_ID, lambda value: f"{type(value).__name__.lower()} {value.id}"),
    ((Outgoing, Handover), lambda value: f"delivery {value.delivery_id}"),
    ((BaseException,), _short),
)


def tell_exception(logger: WrappedLogger, name: str, event: Event) -> Event:
    """Tell an exception by type and place; its text only if it is one of ours.

    Texts of other errors, and local variables, may hold what somebody wrote.
    """
    del logger, name
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        given = given[1]
    error = given if isinstance(given, BaseException) else None
    if given and error is None:
        error = sys.exc_info()[1]
    if error is not None:
        event["error_type"] = type(error).__qualname__
        event["error_at"] = frames(error.__traceback__)
        if isinstance(error, GatewayError):
            event["error_text"] = str(error)
        causes = [_cause(each) for each in itertools.islice(_behind(error), _CAUSES)]
        if causes:
            event["error_causes"] = causes
    return event


def _cause(error: BaseException) -> str:
    places = frames(error.__traceback__)
    return f"{_short(error)} at {places[-1]}" if places else _short(error)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield what an exception comes from: causes, contexts, members of a group."""
    waiting, seen = [error], {id(error)}
    while waiting:
        current = waiting.pop(0)
        members = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        hidden = current.__suppress_context__
        context = current.__cause__ or (None if hidden else current.__context__)
        for each in (*members, context):
            if each is not None and id(each) not in seen:
                seen.add(id(each))
                waiting.append(each)
                yield each


def frames(trace: TracebackType | None) -> list[str]:
    """Return where an exception passed, innermost last."""
    summary = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{_place(f.filename)}:{f.lineno} {f.name}" for f in summary]


def _place(filename: str) -> str:
    """Shorten ``…/gateway_email/channel.py`` to its last two parts."""
    return "/".join(Path(filename).parts[-2:])


class _Forward(logging.Handler):
    """Hands what libraries log to structlog: name and place, never their texts."""

    def emit(self, record: logging.LogRecord) -> None:
        """Forward one record; a library's text may quote what it was given."""
        # A library may use levels of its own: take the named one below.
        level = max(logging.DEBUG, min(record.levelno // 10 * 10, logging.CRITICAL))
        structlog.get_logger().log(
            level,
            "library",
            library=record.name,
            at=f"{_place(record.pathname)}:{record.lineno}",
            exc_info=record.exc_info,
        )


def _adopt_standard_logging(level: int) -> None:
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(max(level, logging.WARNING))
    # Its lines hold addresses and paths of whoever calls.
    logging.getLogger("aiohttp.access").disabled = True


def _adopt_hooks() -> None:
    """Take over what Python itself would print to standard error, texts and all."""
    sys.excepthook = _tell_uncaught
    sys.unraisablehook = _tell_unraisable
    threading.excepthook = _tell_thread
    warnings.showwarning = _tell_warning


def _tell_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("uncaught", exc_info=error)


def _tell_unraisable(given: sys.UnraisableHookArgs) -> None:
    structlog.get_logger().error("unraisable", exc_info=given.exc_value)


def _tell_thread(given: threading.ExceptHookArgs) -> None:
    if not isinstance(given.exc_value, SystemExit):
        structlog.get_logger().error("thread_failed", exc_info=given.exc_value)


def _tell_warning(  # noqa: PLR0913, PLR0917 (Python's signature)
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del message, file, line
    place = f"{_place(filename)}:{lineno}"
    structlog.get_logger().warning("warned", category=category.__name__, at=place)
