"""Commands forked from a process that has loaded everything: a start costs little.

Each is a process of its own that runs the command line, and dies alone. Of a started
program it lacks only the loading, which is most of what short commands do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_PLUGINS = ("delivery", "email", "moderation", "routing", "whatsapp")
# What is not installed is passed over.
_LOADED = ["gateway.cli", "gateway.testing.kit", *(f"gateway_{x}" for x in _PLUGINS)]


class Command:
    """A running ``gateway`` command, handled as `subprocess.Popen` is."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        stdout: Path | None = None,
        stderr: Path | None = None,
    ) -> None:
        """Start it in ``folder``, with failpoints if the environment arms them.

        ``environment`` is by default ours; output goes to the files, or where ours
        goes.
        """
        _CONTEXT.set_forkserver_preload(_LOADED)
        given = dict(os.environ if environment is None else environment)
        self._process = _CONTEXT.Process(
            target=_main, args=(folder, arguments, given, stdout, stderr)
        )
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Return how it ended: its exit code, or minus the signal that killed it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends, ``timeout`` seconds at most; return how it ended.

        Raises:
            TimeoutError: it still runs.

        """
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._process.pid is not None and self.returncode is None:
            os.kill(self._process.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def run(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, half a minute at most; return what it printed.

    Raises:
        TimeoutError: it still runs; it was killed.

    """
    with tempfile.TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        command = Command(
            folder, *arguments, environment=environment, stdout=out, stderr=err
        )
        try:
            code = command.wait(30)
        finally:
            command.kill()
        return subprocess.CompletedProcess(
            arguments, code, out.read_text(), err.read_text()
        )


def _main(
    folder: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    stdout: Path | None,
    stderr: Path | None,
) -> None:
    from gateway.cli import main  # noqa: PLC0415 (in the child)
    from gateway.testing.faults import arm_from_environment  # noqa: PLC0415

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, stdout), (2, stderr)):
        if path is not None:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, number)
            os.close(file)
    sys.argv = ["gateway", *arguments]
    arm_from_environment()
    main()
