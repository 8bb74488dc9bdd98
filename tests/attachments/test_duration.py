"""The length of a recording comes from its content, however damaged that is."""

import io
import os
import resource
import struct
import time
import wave
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import duration
from gateway.duration import seconds_of

DATA = Path(__file__).parent / "data"
LENGTHS = {
    "sound.m4a": 0.1,
    "sound.mp3": 0.288,  # twelve whole frames of 24 ms
    "sound.wav": 0.1,
    "voice.ogg": 0.1,
    "clip.3gp": 0.2,
    "clip.mov": 0.2,
    "clip.mp4": 0.2,
    "frag.mp4": None,
    "clip.webm": None,
    "sound.aac": None,
    "voice.amr": None,
    "empty": None,
    "noise.bin": None,
}
RECORDINGS = [(DATA / name).read_bytes() for name, length in LENGTHS.items() if length]


def spoken(seconds, rate=8000):
    """Make a WAV file as long as that."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 1, rate, 0, "NONE", ""))
        file.writeframes(bytes(round(seconds * rate)))
    return out.getvalue()


def made(folder, content):
    """Write a file and return its path."""
    path = folder / "file"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", LENGTHS)
def test_real_files(name):
    """Each kind tells its length, or nothing."""
    assert LENGTHS[name] == seconds_of(DATA / name, "audio/any")


def test_whole_length(tmp_path):
    """Forty-two seconds are forty-two seconds."""
    assert 42.0 == seconds_of(made(tmp_path, spoken(42)), "audio/wav")


def test_only_recordings_are_read():
    """A file of another kind has no length, and what is not there has none."""
    assert seconds_of(DATA / "sound.wav", "application/pdf") is None
    assert seconds_of(DATA / "nothing", "audio/wav") is None


def test_length_that_cannot_be(tmp_path):
    """A file that claims to last for years is not believed."""
    content = bytearray(spoken(1))
    content[24:32] = struct.pack("<II", 1, 1)  # one sample a second
    content[40:44] = struct.pack("<I", 0x7FFFFFFF)

    assert seconds_of(made(tmp_path, content), "audio/wav") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=4000)
@given(content=st.sampled_from(RECORDINGS), data=st.data())
def test_damaged_files(tmp_path, content, data):
    """Cut, overwritten and swollen recordings have a length that can be, or none."""
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + 4] = data.draw(st.binary(max_size=8))
    cut = data.draw(st.integers(0, len(damaged)))

    found = seconds_of(made(tmp_path, damaged[:cut]), "audio/any")

    assert found is None or 0 < found <= duration.MOST_SECONDS


def deep_boxes(depth=20_000):
    """Make an MP4 whose boxes lie in one another."""
    head = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)
    sizes = (8 * (depth - level) for level in range(depth))
    return head + b"".join(struct.pack(">I4s", size, b"moov") for size in sizes)


def large_box():
    """Make an MP4 with a header that claims a gigabyte."""
    boxes = [(b"moov", 2**30), (b"mvhd", 2**30 - 8)]
    head = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)
    return head + b"".join(struct.pack(">I4s", size, name) for name, size in boxes)


def endless_packet():
    """Make an Ogg file with a packet that never ends."""
    page = b"OggS" + bytes(22) + b"\xff" + b"\xff" * 255 + bytes(255 * 255)
    return page * 300


HOSTILE = {
    "deep": deep_boxes(),
    "large": large_box(),
    "endless": endless_packet(),
    "almost_frames": b"\xff\xfb\x90" + b"\xff\xe0\x00\x00" * 4_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name):
    """A file made to be read for ever is given up; it does not come into memory."""
    path = made(tmp_path, HOSTILE[name])
    os.truncate(path, 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()

    assert seconds_of(path, "audio/any") is None
    assert time.monotonic() - began < 2 * duration._PATIENCE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 * 1024


def test_slow_file(tmp_path, monkeypatch):
    """What takes too long is given up."""
    monkeypatch.setattr(duration, "_PATIENCE", -1.0)

    assert seconds_of(made(tmp_path, spoken(1)), "audio/wav") is None
