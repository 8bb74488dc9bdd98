"""Our fetching: WhatsApp's client into the attachment store. ``fetch.py PORT FOLDER``.

For each line ``id …`` on standard input, fetches these files at once from the media
server at PORT and answers ``seconds bytes-of-memory-grown``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import aiohttp
import structlog
from gateway_whatsapp.account import Account
from gateway_whatsapp.client import CloudApi
from gateway_whatsapp.config import WhatsAppConfig
from processes import resident_bytes
from pydantic import SecretStr

from gateway.app import shared_client
from gateway.attachments import AttachmentStore
from gateway.clock import SystemClock
from gateway.model import ChannelId

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])
MOST_BYTES = 20 * 2**20


def make_api(http: aiohttp.ClientSession) -> CloudApi:
    """Return the client of one number."""
    secret = SecretStr("benchmark")
    config = WhatsAppConfig(
        phone_number_id="106540352242922",
        token=secret,
        app_secrets=[secret],
        verify_token=secret,
        base_url=f"http://127.0.0.1:{PORT}/v25.0",
        media_hosts=["127.0.0.1"],
    )
    account = Account(ChannelId("urp"), structlog.get_logger())
    return CloudApi(config, http, SystemClock(), account)


def forget_highest() -> int:
    """Let the highest memory use count from now on; return what it is, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident_bytes("self")


async def serve() -> None:
    """Fetch what is asked for, line by line."""
    store = AttachmentStore(FOLDER, MOST_BYTES)
    async with shared_client() as http:
        api = make_api(http)
        while line := await asyncio.to_thread(sys.stdin.readline):
            before = forget_highest()
            began = time.perf_counter()
            await asyncio.gather(*(store.put(api.download(m)) for m in line.split()))
            took = time.perf_counter() - began
            grown = resident_bytes("self", "VmHWM") - before
            print(took, grown, flush=True)


asyncio.run(serve())
