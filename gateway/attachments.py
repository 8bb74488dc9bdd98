"""Attachments on disk: streamed, capped, named by the SHA-256 of their content.

A file appears under its name complete and synced, or not at all. What the citizen
calls the file never comes near a path.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import puremagic

from gateway.errors import AttachmentError, StoreFull
from gateway.failpoints import hit

CHUNK_BYTES = 256 * 1024
"""How much of a stream is in memory at a time."""

STALE_SECONDS = 24 * 3600.0
"""Age from which a temporary file belongs to nobody any more."""

HEAD_BYTES = 4096
"""How much of a file its type is judged by."""

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was measured while storing: digest in hex, size in bytes, type."""

    sha256: str
    size: int
    media_type: str


class AttachmentStore:
    """The folder of attachments: ``<root>/ab/cd/abcd…``."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        """Keep files below ``root``, none longer than ``max_bytes``."""
        self._root = root
        self._incoming = root / "incoming"
        self._max_bytes = max_bytes

    def path(self, sha256: str) -> Path:
        """Return where the file with this digest is, or would be.

        Raises:
            ValueError: not a SHA-256 in lower-case hex.

        """
        if not _HEX_DIGEST.fullmatch(sha256):
            raise ValueError("expected 64 lower-case hex digits")
        return self._root / sha256[:2] / sha256[2:4] / sha256

    async def put(
        self, chunks: AsyncIterator[bytes], *, claimed_digest: str | None = None
    ) -> Stored:
        """Store a stream; durable when it returns, harmless to repeat.

        ``claimed_digest`` is the sender's SHA-256 in hex. The stream is closed
        whatever happens.

        Raises:
            AttachmentError: longer than allowed, or not what was claimed.
            StoreFull: no room on the disk.

        """
        async with _closing(chunks):
            draft = await asyncio.to_thread(_Draft.open, self._incoming)
            try:
                async for part in _regrouped(chunks, self._max_bytes):
                    await asyncio.to_thread(draft.write, part)
                return await asyncio.to_thread(self._keep, draft, claimed_digest)
            finally:
                # Shielded: a cancelled fetch must not leave its file behind.
                await asyncio.shield(asyncio.to_thread(draft.discard))

    def _keep(self, draft: _Draft, claimed_digest: str | None) -> Stored:
        """Sync the draft and give it its name; then sync the names themselves."""
        stored = draft.measure()
        if claimed_digest is not None and claimed_digest.lower() != stored.sha256:
            raise AttachmentError(
                "digest_mismatch", "the content is not what was sent", retryable=True
            )
        target = self.path(stored.sha256)
        if not target.exists():
            draft.sync()
            with _disk_errors():
                target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
                hit("attachment.before_rename")
                draft.file.rename(target)
                hit("attachment.after_rename")
        with _disk_errors():
            # Every level, each time: whoever made one may have died before syncing it.
            for folder in (target.parent, target.parent.parent, self._root):
                _sync_folder(folder)
        hit("attachment.after_fsync_dir")
        return stored

    def sweep(self) -> int:
        """Remove temporary files that nobody writes any more; return how many."""
        oldest = time.time() - STALE_SECONDS
        removed = 0
        for file in self._incoming.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_mtime < oldest:
                    file.unlink()
                    removed += 1
        return removed


class _Draft:
    """A file being written; its calls run in threads, one at a time.

    A cancelled task leaves its last call running in its thread: the lock makes
    `discard` wait for it.
    """

    def __init__(self, descriptor: int, file: Path) -> None:
        self.file = file
        self._out = os.fdopen(descriptor, "wb", buffering=0)
        self._hash = hashlib.sha256()
        self._head = b""
        self._size = 0
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> _Draft:
        """Open a new file in ``folder``."""
        with _disk_errors():
            _make_folders(folder)
            descriptor, name = tempfile.mkstemp(dir=folder)
        return cls(descriptor, Path(name))

    def write(self, part: bytes) -> None:
        """Append ``part``."""
        hit("attachment.before_write")
        with self._lock, _disk_errors():
            if len(self._head) < HEAD_BYTES:
                self._head = (self._head + part)[:HEAD_BYTES]
            self._hash.update(part)
            self._size += len(part)
            rest = memoryview(part)
            while rest:
                rest = rest[self._out.write(rest) :]

    def measure(self) -> Stored:
        """Return what was written so far."""
        return Stored(
            sha256=self._hash.hexdigest(),
            size=self._size,
            media_type=media_type_of(self._head),
        )

    def sync(self) -> None:
        """Bring the content to stable storage."""
        hit("attachment.before_fsync")
        with self._lock, _disk_errors():
            os.fsync(self._out.fileno())

    def discard(self) -> None:
        """Close the file, and remove it if it was not kept."""
        with self._lock:
            self._out.close()
            self.file.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[None]:
    """Close the stream at the end, if it is one that can be closed."""
    try:
        yield
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


async def _regrouped(
    chunks: AsyncIterator[bytes], max_bytes: int
) -> AsyncIterator[bytes]:
    """Regroup a stream into parts worth a hop to a thread; refuse what is too long."""
    size = 0
    part = bytearray()
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            text = f"longer than {max_bytes} bytes"
            raise AttachmentError("too_large", text, retryable=False)
        for start in range(0, len(chunk), CHUNK_BYTES):
            part += chunk[start : start + CHUNK_BYTES]
            if len(part) >= CHUNK_BYTES:
                yield bytes(part)
                part.clear()
    if part:
        yield bytes(part)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Tell a full disk from other faults."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull("no room for attachments: free disk space") from error
        raise


def _make_folders(folder: Path) -> None:
    """Make ``folder`` and what is missing above it; each new name is synced."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(mode=0o750, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def media_type_of(head: bytes) -> str:
    """Return the media type that the first bytes of a file show."""
    try:
        return puremagic.from_string(head, mime=True) or "application/octet-stream"
    except (puremagic.PureError, ValueError):
        return "application/octet-stream"


def is_active(media_type: str) -> bool:
    """Tell whether a browser would run or style such content: never show it inline."""
    return media_type in {"image/svg+xml", "text/html"} or media_type.endswith("xml")
