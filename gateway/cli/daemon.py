"""``gateway run``, ``migrate``, ``demo``: the daemon and its database."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from importlib.metadata import entry_points
from pathlib import Path

import structlog
import typer

from gateway.app import Gateway, failed_task
from gateway.cli.output import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, complain
from gateway.errors import GatewayError
from gateway.log import configure
from gateway.setup import Setup, set_up
from gateway.store.migrate import upgrade
from gateway.store.schema import REVISION


def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the daemon until SIGTERM; SIGHUP reloads what can be reloaded."""
    setup = set_up(config)
    configure(setup.settings.log.level, setup.settings.log.format, sys.stderr)
    failure = asyncio.run(_serve(setup, config))
    if failure is not None:
        structlog.get_logger().error("stopped_by_failure", exc_info=failure)
        raise typer.Exit(EXIT_FAILED)


def calm_collector() -> None:
    """Spare the garbage collector what will never be garbage: modules, configuration.

    It would walk them again and again under load, and answer nobody for 50 ms each
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def _serve(setup: Setup, config: Path) -> BaseException | None:
    """Serve until told to stop, or until a part of the daemon fails."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Gateway(setup.settings, setup.host).running() as gateway:
        loop.add_signal_handler(signal.SIGHUP, _reload, gateway, config)
        calm_collector()
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait(
            {stopped, *gateway.tasks}, return_when=asyncio.FIRST_COMPLETED
        )
        stopped.cancel()
        return None if stop.is_set() else failed_task(gateway.tasks)


def _reload(gateway: Gateway, config: Path) -> None:
    """Read the configuration again; a wrong one changes nothing."""
    logger = structlog.get_logger()
    try:
        setup = set_up(config)
    except GatewayError as error:
        logger.error("reload_refused", problems=str(error))  # noqa: TRY400 (no traceback)
        return
    reloaded, restart = gateway.reload(setup.settings)
    configure(setup.settings.log.level, setup.settings.log.format, sys.stderr)
    logger.info("reloaded", sections=reloaded, need_restart=restart)


def migrate(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring the database to this version's schema."""
    before = upgrade(set_up(config).settings.store.resolved_url)
    typer.echo(f"schema {before or 'none'} → {REVISION}")


def demo(context: typer.Context) -> None:
    """Run the main job end to end, visibly, with simulated peers (extra `demo`)."""
    found = list(entry_points(group="gateway.demo"))
    if not found:
        complain("the demo is not installed: run `make demo` in the repository")
        raise typer.Exit(EXIT_FAILED)
    sys.exit(found[0].load()(context.args))
