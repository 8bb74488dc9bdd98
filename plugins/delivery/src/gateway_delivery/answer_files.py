"""Answers that an office lays down as files: taken when they are whole, each once.

A file is an answer once it is one whole JSON object: no beginning of it is. It is moved
to ``accepted`` only after it has been stored; what is no answer after a while, to
``rejected``, with the reason beside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.errors import PayloadError
from gateway.failpoints import hit
from gateway.model import ChannelId, Item, ServiceId
from gateway.plugin import Context
from gateway_delivery import answers

ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
PATIENCE_SECONDS: Final = 600.0
"""How long a file may stay as it is without being an answer: it may be half written."""

_MOST_BYTES: Final = 8 * 1024 * 1024
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file as it was read, ``age`` seconds after its last change.

    ``written``: when the system put it there, in nanoseconds; no program can set that.
    """

    path: Path
    body: bytes
    age: float
    written: int

    @property
    def name(self) -> str:
        """Return what tells it from others, also from one of the same name and words.

        Whatever octets its own name is made of.
        """
        facts = (os.fsencode(self.path.name), str(self.written).encode(), self.body)
        return hashlib.sha256(b"\0".join(facts)).hexdigest()


async def take(
    folder: Path, service: ServiceId, channel: ChannelId, context: Context[Any]
) -> None:
    """Hand the answers in ``folder`` to the inbox, and put them away.

    Raises:
        OSError: the folder can't be read or written.
        StoreError: nothing more can be stored now; what is left stays.

    """
    for file in await asyncio.to_thread(_read_all, folder):
        try:
            answers.read(file.body)
        except PayloadError as error:
            if file.age > PATIENCE_SECONDS:
                context.log.warning("answer_rejected", service=service)
                await asyncio.to_thread(_put_away, file, REJECTED, f"{error}\n")
            continue
        item = Item(external_id=f"{service}/{file.name}", sender=service)
        await context.inbox.accept(channel, file.body, [item])
        hit("maildrop.before_put_away")
        await asyncio.to_thread(_put_away, file, ACCEPTED)


def _read_all(folder: Path) -> list[_File]:
    """Read some of the files in a folder; make the folder if it is not there."""
    folder.mkdir(exist_ok=True)
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() == ".json")[
        :_AT_ONCE
    ]
    return [file for file in map(_read, found) if file is not None]


def _read(path: Path) -> _File | None:
    """Read a plain file; never what a link points to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        body = opened.read(_MOST_BYTES + 1)
    age = time.time() - status.st_mtime
    return _File(path=path, body=body, age=age, written=status.st_ctime_ns)


def _put_away(file: _File, where: str, reason: str = "") -> None:
    shelf = file.path.parent / where
    shelf.mkdir(exist_ok=True)
    stamp = hashlib.sha256(file.body).hexdigest()[:12]
    stem = os.fsdecode(os.fsencode(file.path.stem)[:100])
    kept = shelf / f"{stem}-{stamp}.json"
    file.path.replace(kept)
    if reason:
        kept.with_suffix(".txt").write_text(reason)
