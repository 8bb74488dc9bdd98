"""A time limit for many short tasks: one look a second, not a timer for each.

`asyncio.timeout` costs a webhook as much as reading its JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

ArgT = TypeVar("ArgT")
T = TypeVar("T")

_LOOK_SECONDS = 1.0


class Deadline:
    """Ends what takes longer than ``seconds``, and up to a second more."""

    def __init__(self, seconds: float) -> None:
        """Watch nothing yet."""
        self._seconds = seconds
        self._since: dict[asyncio.Task[Any], float] = {}
        self._ended: set[asyncio.Task[Any]] = set()
        self._looking = False

    async def run(self, work: Callable[[ArgT], Awaitable[T]], argument: ArgT) -> T:
        """Run ``work(argument)`` in the current task.

        Raises:
            TimeoutError: it took too long, and was cancelled.

        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 (a coroutine runs in a task)
        cancelling = task.cancelling()
        self._since[task] = loop.time()
        if not self._looking:
            self._looking = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        try:
            return await work(argument)
        except asyncio.CancelledError:
            # Somebody else may want the task to end, too.
            if task in self._ended and task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise
        finally:
            del self._since[task]
            self._ended.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is overdue; look again while anything runs."""
        limit = loop.time() - self._seconds
        for task, since in self._since.items():
            if since < limit and task not in self._ended:
                self._ended.add(task)
                task.cancel()
        self._looking = bool(self._since)
        if self._looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)
