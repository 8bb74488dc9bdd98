"""Calls one hook of one plugin so that its fault stays its own."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from pydantic import ConfigDict, TypeAdapter, ValidationError

from gateway.breaker import Breaker
from gateway.clock import Clock

log = structlog.get_logger()

ResultT = TypeVar("ResultT")

FAILURES = 5
"""Failures in a row after which a plugin's hook is left alone."""

PAUSE_SECONDS = 30.0
"""How long it is left alone before it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long each hook may take, in seconds."""

    startup: float = 30.0
    shutdown: float = 10.0
    health: float = 5.0
    enrich: float = 5.0
    identify: float = 2.0
    moderate: float = 5.0
    route: float = 2.0
    observe: float = 5.0


class Nonsense(Exception):
    """A plugin returned what its hook does not allow; the text holds no values."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that brought no result; ``reason`` is fit for a log, ``error`` is not."""

    reason: str
    error: BaseException | None = None


def validator(wanted: Any) -> Callable[[object], None]:
    """Return a check that a result is a ``wanted``, to its last field, or None.

    The check raises `Nonsense`.
    """
    # The settings reach the dataclasses only from outside, here from the union.
    adapter: TypeAdapter[Any] = TypeAdapter(
        wanted | None, config=ConfigDict(revalidate_instances="always", strict=True)
    )

    def validate(result: object) -> None:
        try:
            adapter.validate_python(result)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "result"
            raise Nonsense(f"{place}: {first['type']}") from None

    return validate


class GuardedCall(Generic[ResultT]):
    """One implementation of one asynchronous hook, with its own circuit breaker."""

    def __init__(  # noqa: PLR0913 (wired once, by the host)
        self,
        plugin: str,
        hook: str,
        function: Callable[..., Awaitable[ResultT | None]],
        parameters: Sequence[str],
        *,
        context: object,
        timeout: float,
        validate: Callable[[object], None],
        clock: Clock,
    ) -> None:
        """Call ``function`` with those of the hook's arguments it has named."""
        self.plugin = plugin
        self.hook = hook
        self.breaker = Breaker(clock, failures=FAILURES, seconds=PAUSE_SECONDS)
        self._context = context
        self._function = function
        self._parameters = tuple(parameters)
        self._timeout = timeout
        self._validate = validate

    async def __call__(
        self,
        subject: object = None,
        check: Callable[[ResultT], None] | None = None,
    ) -> ResultT | Failed | None:
        """Ask the plugin about ``subject``; ``check`` refuses by raising `Nonsense`."""
        if not self.breaker.allows():
            return Failed("left alone after repeated failures")
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._function(*self._arguments(subject))
            if result is not None:
                self._validate(result)
            if result is not None and check is not None:
                check(result)
        except (SystemExit, KeyboardInterrupt, GeneratorExit):
            raise
        except asyncio.CancelledError as error:
            # A plugin that lets its own cancelled task escape did not cancel us.
            if _is_cancelled():
                raise
            return self._failed(error)
        except BaseException as error:  # noqa: BLE001 (a plugin's fault stays its own)
            return self._failed(error)
        self.breaker.succeeded()
        return result

    def _arguments(self, subject: object) -> tuple[object, ...]:
        return tuple(
            self._context if name == "context" else subject for name in self._parameters
        )

    def _failed(self, error: BaseException) -> Failed:
        """Count and log it; the error's own text may be personal and stays out."""
        self.breaker.failed()
        reason = reason_of(error, self._timeout)
        log.warning(
            "plugin_failed",
            plugin=self.plugin,
            hook=self.hook,
            reason=reason,
            at=_place(error),
        )
        return Failed(reason, error)


def reason_of(error: BaseException, timeout: float) -> str:
    """Say what went wrong without quoting what a plugin may have put into it."""
    if isinstance(error, Nonsense):
        return f"nonsense ({error})"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    return f"raised {type(error).__name__}"


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _place(error: BaseException) -> str:
    """Return where an error was raised: ``file:line function``."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f"{last.filename}:{last.lineno} {last.name}"
