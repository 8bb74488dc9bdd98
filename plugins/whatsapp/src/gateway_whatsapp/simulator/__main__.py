"""The simulator as a program: ``python -m gateway_whatsapp.simulator --help``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import sys

from gateway_whatsapp.simulator import CloudApiSimulator, SentMessage
from gateway_whatsapp.simulator.control import HELP

_EPILOG = f"""\
Each message that the gateway sends is printed as one line of JSON.

{HELP}"""


class _Formatter(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Defaults of the options, and the routes as they are written."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gateway_whatsapp.simulator",
        description="Meta's Cloud API for WhatsApp, simulated on this machine.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
    )
    parser.add_argument("--port", type=int, default=8089, help="0 chooses a free one")
    parser.add_argument("--app-secret", default="app-secret", help="signs webhooks")
    parser.add_argument("--token", default="token", help="access token to accept")
    parser.add_argument(
        "--phone-number-id", default="106540352242922", help="id of our number"
    )
    parser.add_argument(
        "--webhook-url",
        default="http://127.0.0.1:8080/channels/whatsapp/webhook",
        help="the gateway's webhook",
    )
    return parser.parse_args()


def _print(sent: SentMessage) -> None:
    line = json.dumps(dataclasses.asdict(sent), default=str, ensure_ascii=False)
    print(line, flush=True)  # noqa: T201 (a program's output)


async def _serve(arguments: argparse.Namespace) -> None:
    """Serve until interrupted."""
    simulator = CloudApiSimulator(
        app_secret=arguments.app_secret,
        token=arguments.token,
        phone_number_id=arguments.phone_number_id,
        webhook_url=arguments.webhook_url,
        port=arguments.port,
    )
    simulator.ledger.on_sent = _print
    async with simulator:
        print(f"base_url = {simulator.base_url}", file=sys.stderr, flush=True)  # noqa: T201 (as above)
        await asyncio.Event().wait()


def main() -> None:
    """Run the simulator."""
    arguments = _arguments()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(arguments))
    except OSError as error:
        reason = error.strerror or str(error)
        sys.exit(f"port {arguments.port}: {reason}; choose another with --port")


if __name__ == "__main__":
    main()
