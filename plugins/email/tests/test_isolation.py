"""Child processes: what goes wrong in one costs that task, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailChannel
from gateway_email.enclosed import part_content
from gateway_email.isolation import Child, ChildError, Limits

from gateway.errors import AttachmentError, Overloaded, PayloadError, Unreadable
from gateway.model import Inbound

LIMITS = Limits(cpu_seconds=1, wall_seconds=4.0, turn_seconds=20.0)


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    """Child processes with little patience."""
    made = Child(LIMITS)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        (sum, [range(10**12)], "reader_timeout"),
        (time.sleep, [60], "reader_timeout"),
        (bytearray, [2**31], "reader_memory"),
        (os._exit, [3], "reader_crashed"),
        (os.abort, [], "reader_crashed"),
    ],
    ids=["busy", "hung", "greedy", "ended", "aborted"],
)
async def test_a_bad_task_costs_only_itself(
    child: Child, function: Callable[..., Any], arguments: list[Any], code: str
) -> None:
    """It is named, and those beside it and after it are done."""
    bad = asyncio.create_task(child.run(function, *arguments))
    beside = await child.run(max, [1, 2])
    with pytest.raises(Unreadable) as caught:
        await bad

    assert (2, code) == (beside, caught.value.code)
    assert [3] * 4 == [await child.run(max, [number, 3]) for number in range(4)]


async def test_processor_time_has_a_limit_of_its_own() -> None:
    """Long before the clock on the wall has run out."""
    child = Child(replace(LIMITS, wall_seconds=120.0))
    async with asyncio.timeout(60):
        with pytest.raises(Unreadable) as caught:
            await child.run(sum, range(10**12))
    await child.close()

    assert "reader_timeout" == caught.value.code


async def test_process_killed_while_idle_is_replaced(child: Child) -> None:
    """Somebody else's kill harms no task."""
    for _ in range(3):
        os.kill(await child.run(os.getpid), signal.SIGKILL)

        assert 3 == await child.run(max, [1, 3])


async def test_our_errors_come_over_whole(child: Child) -> None:
    """Path, complaint and code of an error are those of the child."""
    with pytest.raises(AttachmentError) as caught:
        await child.run(part_content, b"From: a@b.it\n\n", "7")
    error = caught.value

    assert ("no_such_part", "no part 7", False) == (
        error.code,
        error.text,
        error.retryable,
    )


async def test_other_errors_say_where_and_not_what(child: Child) -> None:
    """A mistake of ours is named with its place; its words may be personal."""
    with pytest.raises(ChildError, match=r"^ValueError at isolation\.py:\d+$"):
        await child.run(int, "segreto")


async def test_task_without_a_turn_is_told_so() -> None:
    """Waiting for others is nobody's fault, and has an end."""
    child = Child(replace(LIMITS, processes=1, turn_seconds=0.2))
    slow = asyncio.create_task(child.run(time.sleep, 1))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await child.run(max, [1, 2])
    await slow
    await child.close()


async def test_processes_stay_and_are_replaced_in_time() -> None:
    """One process serves as many tasks as it may, then another comes."""
    child = Child(replace(LIMITS, processes=1, tasks=3))
    pids = [await child.run(os.getpid) for _ in range(6)]
    await child.close()

    assert [pids[0]] * 3 == pids[:3]
    assert 2 == len(set(pids))


async def test_child_writes_no_file(child: Child, tmp_path: Path) -> None:
    """Not even the core of a crash, with a citizen's mail in it."""
    with pytest.raises(ChildError, match="OSError"):
        await child.run(Path.write_text, tmp_path / "file", "text")


async def test_closed_child_leaves_no_process(child: Child) -> None:
    """`close` ends the processes."""
    pid = await child.run(os.getpid)
    await child.close()

    assert not _lives(pid)


def test_killed_daemon_leaves_no_process(tmp_path: Path) -> None:
    """After kill -9 the children go too, busy ones included."""
    script = Path(__file__).parent / "orphans.py"
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as daemon:
        assert daemon.stdout is not None
        pids = [int(pid) for pid in daemon.stdout.readline().split()]
        daemon.kill()
    until = time.monotonic() + 10
    while any(map(_lives, pids)) and time.monotonic() < until:
        time.sleep(0.05)

    assert [False, False] == [_lives(pid) for pid in pids]


def _lives(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_channel_reads_as_it_parses(
    channel: Callable[..., EmailChannel],
    fixture_bytes: Callable[[str], bytes],
    inbound: Callable[[bytes], Inbound],
) -> None:
    """The way through the child changes nothing, and errors are the same."""
    posta = channel(port=1)
    good = inbound(fixture_bytes("inbound/citizen_photo.eml"))
    bad = inbound(fixture_bytes("inbound/sender_two.eml"))

    assert posta.parse(good) == await posta.read(good)
    with pytest.raises(PayloadError, match="From: expected one readable address"):
        await posta.read(bad)
    await posta.close()
