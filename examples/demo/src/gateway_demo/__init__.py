"""The main job, end to end and visible: ``gateway demo``."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from gateway_demo.narrator import Narrator
from gateway_demo.stage import StageError, stage
from gateway_demo.story import tell

CONFIG = Path(__file__).parents[2] / "gateway.toml"


def main(arguments: Sequence[str]) -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="gateway demo", description=__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="leave everything running, to play with"
    )
    options = parser.parse_args(arguments)
    narrator = Narrator()
    try:
        asyncio.run(_run(narrator, keep=options.keep))
    except StageError as error:
        narrator.failed(str(error))
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0
    return 0


async def _run(narrator: Narrator, *, keep: bool) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine runs in a task)
    # The daemon must not outlive the demo, however that is ended.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with stage(CONFIG, narrator) as scene:
        await tell(scene, narrator)
        narrator.where_next(scene.config, keep=keep)
        if keep:
            await asyncio.Event().wait()
