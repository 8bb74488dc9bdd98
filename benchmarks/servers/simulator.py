"""Meta, simulated, with films: ``simulator.py PORT WEBHOOK``.

For each line ``n`` on standard input, n citizens send a film of 16 MB each, at once;
answers how many webhooks were accepted.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from gateway_whatsapp.simulator import CloudApiSimulator
from load import NUMBER, SECRET

PORT, WEBHOOK = int(sys.argv[1]), sys.argv[2]
SIZE = 16 * 2**20
HEAD = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"


def film(simulator: CloudApiSimulator, noise: bytes, number: int) -> dict[str, Any]:
    """Return the message of a film unlike any other."""
    start = HEAD + f"{number:08}".encode()
    media = simulator.add_media(start + noise[len(start) :], "video/mp4")
    payload = simulator.image(f"39333{number:07}", media)
    message = payload["entry"][0]["changes"][0]["value"]["messages"][0]
    message["type"], message["video"] = "video", message.pop("image")
    return payload


async def serve() -> None:
    """Send what is asked for, line by line."""
    noise, made = os.urandom(SIZE), 0
    async with CloudApiSimulator(
        app_secret=SECRET,
        token=SECRET,
        phone_number_id=NUMBER,
        webhook_url=WEBHOOK,
        port=PORT,
    ) as simulator:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            films = [film(simulator, noise, made + n) for n in range(int(line))]
            made += len(films)
            answers = await asyncio.gather(*(simulator.webhook(each) for each in films))
            print(sum(status == 200 for status, _ in answers), flush=True)  # noqa: PLR2004 (HTTP's)


asyncio.run(serve())
