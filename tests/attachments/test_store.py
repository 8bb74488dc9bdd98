"""Attachments are complete under the digest of their content, or not there."""

import asyncio
import errno
import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import attachments, failpoints
from gateway.attachments import AttachmentStore
from gateway.errors import AttachmentError, StoreFull

CONTENT = b"%PDF-1.4\n" + bytes(range(256)) * 1200
DIGEST = hashlib.sha256(CONTENT).hexdigest()
POINTS = [
    "attachment.before_write",
    "attachment.before_fsync",
    "attachment.before_rename",
    "attachment.after_rename",
    "attachment.after_fsync_dir",
]


class Stream:
    """Chunks of a content, and whether they were closed."""

    def __init__(self, content, size=1000):
        self._chunks = [
            content[start : start + size] for start in range(0, len(content), size)
        ]
        self.closed = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    async def aclose(self):
        self.closed = True


@pytest.fixture
def store(tmp_path):
    """A store in a folder that does not exist yet."""
    return AttachmentStore(tmp_path / "data" / "attachments", 1_000_000)


@pytest.fixture
def unarmed():
    """Failpoints are disarmed after the test."""
    yield
    failpoints.disarm()


def files(store):
    """Every file below the store's folder."""
    return [path for path in store._root.rglob("*") if path.is_file()]


async def test_put(store):
    """A stream is stored under its digest, with size and type."""
    stream = Stream(CONTENT)

    stored = await store.put(stream)

    assert (DIGEST, len(CONTENT)) == (stored.sha256, stored.size)
    assert stored.media_type == "application/pdf"
    assert store.path(DIGEST).read_bytes() == CONTENT
    assert [store.path(DIGEST)] == files(store)
    assert stream.closed


async def test_put_recording(store):
    """A recording is stored with its length, anything else without."""
    voice = Path(__file__).parent / "data" / "voice.ogg"

    recording = await store.put(Stream(voice.read_bytes()))
    document = await store.put(Stream(CONTENT))

    assert (0.1, None) == (recording.seconds, document.seconds)


async def test_put_async_generator(store):
    """An async generator is closed too, and large chunks are cut."""

    async def generate():
        yield CONTENT * 3

    assert 3 * len(CONTENT) == (await store.put(generate())).size


async def test_empty(store):
    """No bytes at all are an attachment of size 0."""
    assert (await store.put(Stream(b""))).size == 0


async def test_put_again(store):
    """The same content again is one file, and the same answer."""
    first = await store.put(Stream(CONTENT))
    inode = store.path(DIGEST).stat().st_ino

    assert first == await store.put(Stream(CONTENT, size=7000))
    assert inode == store.path(DIGEST).stat().st_ino
    assert [store.path(DIGEST)] == files(store)


async def test_put_at_once(store):
    """The same content from many senders at once is one file."""
    stored = await asyncio.gather(*(store.put(Stream(CONTENT)) for _ in range(8)))

    assert {DIGEST} == {each.sha256 for each in stored}
    assert [store.path(DIGEST)] == files(store)


async def test_too_large(tmp_path):
    """The cap holds while streaming: the rest is not read, nothing is kept."""
    store = AttachmentStore(tmp_path, 5000)
    stream = Stream(CONTENT)

    with pytest.raises(AttachmentError) as caught:
        await store.put(stream)

    assert (caught.value.code, caught.value.retryable) == ("too_large", False)
    assert len(CONTENT) // 1000 - 5 == len(stream._chunks)
    assert files(store) == []
    assert stream.closed


async def test_exactly_the_limit(tmp_path):
    """As long as allowed is not too long."""
    store = AttachmentStore(tmp_path, len(CONTENT))

    assert len(CONTENT) == (await store.put(Stream(CONTENT))).size


async def test_claimed_digest(store):
    """A right claim, in either case of letters, is accepted."""
    stored = await store.put(Stream(CONTENT), claimed_digest=DIGEST.upper())

    assert stored.sha256 == DIGEST


async def test_digest_mismatch(store):
    """What is not what was sent is not kept; another try may bring it whole."""
    with pytest.raises(AttachmentError) as caught:
        await store.put(Stream(CONTENT), claimed_digest="0" * 64)

    assert (caught.value.code, caught.value.retryable) == ("digest_mismatch", True)
    assert files(store) == []


async def test_stream_fails(store):
    """A stream that breaks off leaves nothing, and its error comes through."""

    async def generate():
        yield CONTENT
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(generate())

    assert files(store) == []


async def test_cancelled(store):
    """A cancelled fetch leaves nothing, and its stream is closed."""
    closed = asyncio.Event()
    waiting = asyncio.Event()

    async def generate():
        try:
            yield CONTENT
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    task = asyncio.create_task(store.put(generate()))
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert closed.is_set()
    assert files(store) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_disk_full(store, monkeypatch, number):
    """A full disk is told as such, and leaves nothing."""

    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(attachments.os, "fsync", full)
    with pytest.raises(StoreFull, match="free disk space"):
        await store.put(Stream(CONTENT))

    assert files(store) == []


async def test_disk_broken(store, monkeypatch):
    """Any other fault of the disk is no lack of room."""

    def broken(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(attachments.os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        await store.put(Stream(CONTENT))


async def test_synced_in_order(store, monkeypatch):
    """Content is synced before it gets its name, each folder level after."""
    done = []
    real = os.fsync

    def note(descriptor):
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(attachments.os, "fsync", note)
    await store.put(Stream(CONTENT))

    target = store.path(DIGEST)
    assert store._incoming == Path(done[0]).parent
    folders = [target.parent, target.parent.parent, store._root, store._root.parent]
    assert [str(folder) for folder in folders] == done[1:]


@pytest.mark.parametrize("point", POINTS)
async def test_fault_at_each_point(store, unarmed, point):
    """A fault anywhere leaves the whole file or none, and a retry mends it."""

    def fault(name):
        raise OSError(errno.EIO, name)

    failpoints.arm(point, fault)
    with pytest.raises(OSError, match=point):
        await store.put(Stream(CONTENT))
    left = [path.read_bytes() for path in files(store)]
    failpoints.disarm()

    assert left in ([], [CONTENT])
    assert (await store.put(Stream(CONTENT))).sha256 == DIGEST
    assert [store.path(DIGEST)] == files(store)


async def test_points_are_passed_in_order(store, unarmed):
    """Every named point is passed once for a small file, in order."""
    passed = []
    failpoints.arm("*", passed.append)

    await store.put(Stream(b"x"))

    assert passed == POINTS


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", "a" * 63, "A" * 64, "g" * 64, "a" * 64 + "\n"]
)
def test_path_is_validated(store, digest):
    """Only a digest names a file."""
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        store.path(digest)


async def test_sweep(store):
    """Files of a crash are removed; what is being written is not."""
    await store.put(Stream(CONTENT))
    stale, fresh = store._incoming / "stale", store._incoming / "fresh"
    stale.write_bytes(b"x")
    fresh.write_bytes(b"x")
    old = time.time() - attachments.STALE_SECONDS - 1
    os.utime(stale, (old, old))

    assert store.sweep() == 1
    assert {fresh, store.path(DIGEST)} == set(files(store))


def test_sweep_before_the_first(store):
    """There is nothing to sweep in a new store."""
    assert store.sweep() == 0


@given(st.lists(st.binary(max_size=3000), max_size=20))
async def test_any_chunks(tmp_path_factory, chunks):
    """However a content is cut, digest and size are its own."""
    store = AttachmentStore(tmp_path_factory.mktemp("any"), 1_000_000)

    async def generate():
        for chunk in chunks:
            yield chunk

    stored = await store.put(generate())

    content = b"".join(chunks)
    assert hashlib.sha256(content).hexdigest() == stored.sha256
    assert content == store.path(stored.sha256).read_bytes()


async def test_memory_is_bounded(store, monkeypatch):
    """A stream is never held whole: no part is longer than the limit of two chunks."""
    sizes = []
    real = attachments._Draft.write

    def note(draft, part):
        sizes.append(len(part))
        real(draft, part)

    monkeypatch.setattr(attachments._Draft, "write", note)
    await store.put(Stream(CONTENT * 3, size=300_000))

    assert max(sizes) < 2 * attachments.CHUNK_BYTES
    assert 3 * len(CONTENT) == sum(sizes)
