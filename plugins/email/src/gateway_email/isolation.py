"""Child processes in which foreign data is read, so that it can harm nothing else.

Python's `email` and what stands on it take seconds and gigabytes for a few crafted
kilobytes. A process can be stopped from outside, a thread can't.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
import traceback
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import structlog

# Why pebble: `concurrent.futures` breaks the whole pool when one process dies and can't
# stop a task; `anyio.to_process` has neither limits of a process nor a number of tasks
# after which it is replaced, and closes only with the loop.
from pebble import ProcessExpired, ProcessPool

from gateway.errors import GatewayError, Overloaded, Unreadable

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

_PRELOADED = [
    "__main__",
    "gateway_email.enclosed",
    "gateway_email.invitations",
    "gateway_email.reading",
    "gateway_email.winmail",
]
"""What the server that forks the children has imported, so that one starts at once."""

_GRACE_SECONDS = 5.0
"""After that much more than the wall clock's limit, the pool itself is given up.

The library gives a process 3 s to end by itself.
"""

_LIVES = 2
"""Times that a task is tried if its process dies: the death may be another's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one task may take; more costs the task, and nothing else."""

    cpu_seconds: int = 8
    wall_seconds: float = 12.0
    address_space: int = 1024 * 1024 * 1024
    """Octets. A mail of 25 MB takes 600 MiB."""

    processes: int = 2
    """One that is hung up leaves another for the rest."""

    tasks: int = 500
    """Tasks after which a process is replaced, with all that it has leaked."""

    turn_seconds: float = 10.0
    """How long a task may wait for its turn."""


class ChildError(GatewayError):
    """A function failed in a way that it doesn't name: our fault; says where."""


class Child:
    """Runs pure functions of picklable data in child processes, within limits.

    The processes start at the first task and stay. They end with `close`, and when
    this process is gone, however it went.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        """Start nothing yet."""
        self._limits = limits or Limits()
        self._pool: ProcessPool | None = None
        self._turns = asyncio.Semaphore(self._limits.processes)

    async def run(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what ``function`` returns; it must be importable by its name.

        Raises:
            GatewayError: whatever of that kind ``function`` raises.
            Unreadable: the limits were exceeded or the process died; its code is
                ``reader_timeout``, ``reader_memory`` or ``reader_crashed``.
            Overloaded: it had no turn in time; nothing is wrong with the data.
            ChildError: ``function`` raised something else.

        """
        return await self._run_twice(self._limits, function, *args, **kwargs)

    async def run_briefly(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do as `run` does, in a third of the time: for what may as well fail."""
        limits = replace(
            self._limits,
            cpu_seconds=max(1, self._limits.cpu_seconds // 3),
            wall_seconds=self._limits.wall_seconds / 3,
        )
        return await self._run_twice(limits, function, *args, **kwargs)

    async def close(self) -> None:
        """End the processes; `run` would start new ones."""
        if self._pool is not None:
            await self._give_up(self._pool)

    async def _run_twice(
        self,
        limits: Limits,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a task in its turn; once more if its process has died."""
        await self._take_turn()
        try:
            for life in range(1, _LIVES + 1):
                try:
                    return await self._run(limits, function, *args, **kwargs)
                except (ProcessExpired, BrokenProcessPool):
                    log.warning("reader_died", function=function.__name__, life=life)
        finally:
            self._turns.release()
        raise Unreadable("mail", "the reader crashed", code="reader_crashed")

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(self._limits.turn_seconds):
                await self._turns.acquire()
        except TimeoutError:
            message = "too much to read at once"
            raise Overloaded(message) from None

    async def _run(
        self,
        limits: Limits,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        pool = self._usable_pool()
        try:
            # In a thread: the first task of a pool waits until its processes are there.
            future = await asyncio.to_thread(
                pool.schedule,
                _bounded,
                (limits.cpu_seconds, function, *args),
                kwargs,
                timeout=limits.wall_seconds,
            )
            async with asyncio.timeout(limits.wall_seconds + _GRACE_SECONDS) as whole:
                outcome: T = await asyncio.wrap_future(future)
                return outcome
        except MemoryError:
            raise _too_much_memory() from None
        except TimeoutError:
            if whole.expired():
                if pool is not self._pool:
                    # Another's time-out has ended the pool: this was none's fault.
                    raise BrokenProcessPool from None
                await self._give_up(pool)
            raise _too_long() from None
        except ProcessExpired as error:
            if error.exitcode == -signal.SIGXCPU:
                raise _too_long() from None
            raise
        except RuntimeError as error:
            # So the library calls a pool that has lost its processes.
            await self._give_up(pool)
            raise BrokenProcessPool from error

    def _usable_pool(self) -> ProcessPool:
        if self._pool is None or not self._pool.active:
            limits = self._limits
            # Never "fork": the daemon has threads, whose locks a child would inherit.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(_PRELOADED)
            self._pool = ProcessPool(
                max_workers=limits.processes,
                max_tasks=limits.tasks,
                initializer=_begin,
                initargs=(limits.address_space,),
                context=context,
            )
        return self._pool

    async def _give_up(self, pool: ProcessPool) -> None:
        if self._pool is pool:
            self._pool = None
        pool.stop()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(pool.join)


def _too_long() -> Unreadable:
    return Unreadable("mail", "takes too long", code="reader_timeout")


def _too_much_memory() -> Unreadable:
    return Unreadable("mail", "takes too much memory", code="reader_memory")


def _begin(address_space: int) -> None:
    """Set the limits of a new process, and let it end with the daemon."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    # It writes no file: no core with a citizen's mail in it, either.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _bounded(
    cpu_seconds: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run one task in the child; let only errors out that the parent can read."""
    _limit_cpu(cpu_seconds)
    try:
        return function(*args, **kwargs)
    except (GatewayError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 (the parent might not know its type)
        raise ChildError(_where(error)) from None
    finally:
        # Not while the result is on its way: a death there would hold the pipe's lock.
        resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY,) * 2)


def _limit_cpu(seconds: int) -> None:
    """Let the kernel end this process (SIGXCPU) after that much more of its time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _where(error: BaseException) -> str:
    """Name an error and its place; its own words may be personal."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = (f"{os.path.basename(f.filename)}:{f.lineno}" for f in frames)  # noqa: PTH119
    return f"{type(error).__name__} at {' > '.join(places)}"
