"""Daemons forked from a process that has loaded everything: a start costs little.

Each is a process of its own that runs the command line, and dies alone.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["gateway.cli", "gateway_email", "gateway.testing.kit"])


def start(folder: Path, environment: Mapping[str, str]) -> ForkServerProcess:
    """Start ``gateway run`` in ``folder``, with failpoints as ``environment`` says."""
    process = _CONTEXT.Process(target=_run, args=(folder, dict(environment)))
    process.start()
    return process


def _run(folder: Path, environment: dict[str, str]) -> None:
    from gateway.cli import main  # noqa: PLC0415 (in the child)
    from gateway.testing.faults import arm_from_environment  # noqa: PLC0415

    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["gateway", "run", "--config", "gateway.toml"]
    arm_from_environment()
    main()
