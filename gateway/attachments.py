"""Attachments on disk: streamed, capped, named by the SHA-256 of their content.

A file appears under its name complete and synced, or not at all. What the citizen
calls the file never comes near a path.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import io
import os
import re
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pure_magic_rs import MagicDb

from gateway.duration import seconds_of
from gateway.errors import AttachmentError, StoreFull
from gateway.failpoints import hit

CHUNK_BYTES = 64 * 1024
"""How much of a stream is in memory at a time."""

STALE_SECONDS = 3600.0
"""Age from which a temporary file belongs to nobody any more."""

HEAD_BYTES = 4096
"""How much of a file its type is judged by."""

_REGISTERED = {
    "audio/x-hx-aac-adts": "audio/aac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-wav": "audio/wav",
}
"""libmagic's own names, and what everybody else calls these types (IANA, RFC 4337)."""

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was measured: digest in hex, size in bytes, type, length of a recording."""

    sha256: str
    size: int
    media_type: str
    seconds: float | None = None


class AttachmentStore:
    """The folder of attachments: ``<root>/ab/cd/abcd…``."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        """Keep files below ``root``, none longer than ``max_bytes``."""
        self._root = root
        self._incoming = root / "incoming"
        self._max_bytes = max_bytes
        self._magic = MagicDb()

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
            draft = _Draft(self._incoming)
            try:
                await asyncio.to_thread(draft.open)
                await self._fill(draft, chunks)
                return await asyncio.to_thread(self._finish, draft, claimed_digest)
            finally:
                # Shielded: a cancelled fetch must not leave its file behind.
                await asyncio.shield(asyncio.to_thread(draft.discard))

    async def _fill(self, draft: _Draft, chunks: AsyncIterator[bytes]) -> None:
        parts = _regrouped(chunks, self._max_bytes)
        async with contextlib.aclosing(parts):
            async for part in parts:
                await asyncio.to_thread(draft.write, part)

    def _finish(self, draft: _Draft, claimed_digest: str | None) -> Stored:
        """Keep the draft; then tell how long a recording lasts."""
        stored = self._keep(draft, claimed_digest)
        file = self.path(stored.sha256)
        return replace(stored, seconds=seconds_of(file, stored.media_type))

    def _keep(self, draft: _Draft, claimed_digest: str | None) -> Stored:
        """Sync the draft and give it its name; then sync the names themselves."""
        stored = Stored(
            sha256=draft.digest(),
            size=draft.size,
            media_type=media_type_of(self._magic, draft.head),
        )
        if claimed_digest is not None and claimed_digest.lower() != stored.sha256:
            raise AttachmentError(
                "digest_mismatch", "the content is not what was sent", retryable=True
            )
        target = self.path(stored.sha256)
        if not target.exists():
            draft.keep(target)
        with _disk_errors():
            # Every level, each time: whoever made one may have died before syncing it.
            for folder in (*target.parents[:3], self._root.parent):
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
    `discard` wait for it, and nothing is written after.
    """

    def __init__(self, folder: Path) -> None:
        self.head = b""
        self.size = 0
        self.file: Path | None = None
        self._folder = folder
        self._out: io.FileIO | None = None
        self._discarded = False
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the file, under a name of our own."""
        with self._lock, _disk_errors():
            if self._discarded:
                return
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            self.file = Path(name)
            self._out = io.FileIO(descriptor, "wb")

    def write(self, part: bytearray) -> None:
        """Append ``part``."""
        hit("attachment.before_write")
        with self._lock, _disk_errors():
            if self._out is None:
                return
            if len(self.head) < HEAD_BYTES:
                self.head = (self.head + part)[:HEAD_BYTES]
            self._hash.update(part)
            self.size += len(part)
            rest = memoryview(part)
            while rest:
                rest = rest[self._out.write(rest) :]

    def digest(self) -> str:
        """Return the SHA-256 of what was written, in hex."""
        return self._hash.hexdigest()

    def keep(self, target: Path) -> None:
        """Bring the content to stable storage, then give it its name."""
        hit("attachment.before_fsync")
        with self._lock, _disk_errors():
            if self._out is None or self.file is None:
                return
            os.fsync(self._out.fileno())
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            hit("attachment.before_rename")
            self.file.rename(target)
            hit("attachment.after_rename")

    def discard(self) -> None:
        """Close the file, and remove it if it was not kept."""
        with self._lock:
            self._discarded = True
            if self._out is not None:
                self._out.close()
                self._out = None
            if self.file is not None:
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
) -> AsyncGenerator[bytearray]:
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
                yield part
                part = bytearray()
    if part:
        yield part


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Tell a full disk from other faults."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull("no room for attachments: free disk space") from error
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def media_type_of(magic: MagicDb, head: bytes) -> str:
    """Return the media type that the first bytes of a file show.

    Text in any but UTF-8 counts as ``application/octet-stream``: nobody can tell.
    """
    found = magic.best_magic_buffer(head, None).mime_type.lower()
    return _REGISTERED.get(found, found)
