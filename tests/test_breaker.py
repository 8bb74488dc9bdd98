"""The circuit breaker opens, probes and closes, under a virtual clock."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.breaker import GRANT_SECONDS, Breaker

SECONDS = 30.0


@dataclass
class Clock:
    """A clock that a test moves."""

    seconds: float = 1000.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock():
    """The time, ours to move."""
    return Clock()


@pytest.fixture
def breaker(clock):
    """A closed breaker."""
    return Breaker(clock, failures=3, seconds=SECONDS)


@pytest.fixture
def opened(breaker):
    """A breaker that has just opened."""
    for _ in range(3):
        breaker.failed()
    return breaker


@pytest.fixture
def half_open(opened, clock):
    """A breaker that is ready for a probe."""
    clock.seconds += SECONDS
    return opened


def test_closed(breaker):
    """Closed, everything goes through."""
    assert breaker.state.value == "closed"
    assert breaker.allows()
    assert breaker.room(8) == 8


def test_failures_in_a_row_open(breaker):
    """Only failures in a row open: one success in between starts the count anew."""
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded):
        outcome()
    breaker.failed()
    breaker.failed()
    assert breaker.state.value == "closed"

    breaker.failed()
    assert breaker.state.value == "open"


def test_open(opened, clock):
    """Open, nothing goes through before the time is up."""
    clock.seconds += SECONDS - 0.1

    assert opened.state.value == "open"
    assert not opened.allows()
    assert opened.room(8) == 0


def test_late_failures_do_not_prolong(opened, clock):
    """Calls that began before it opened don't keep it open by failing after."""
    clock.seconds += SECONDS - 1
    opened.failed()
    clock.seconds += 1

    assert opened.state.value == "half-open"


def test_half_open_one_probe(half_open):
    """Half-open, one call at a time goes through."""
    assert half_open.state.value == "half-open"
    assert half_open.allows()
    assert not half_open.allows()
    assert half_open.room(8) == 0


def test_probe_succeeds(half_open):
    """A probe that works closes it."""
    assert half_open.allows()
    half_open.succeeded()

    assert half_open.state.value == "closed"
    assert half_open.room(8) == 8


def test_probe_fails(half_open, clock):
    """A probe that fails opens it for the whole time again."""
    assert half_open.allows()
    half_open.failed()
    assert half_open.state.value == "open"

    clock.seconds += SECONDS
    assert half_open.allows()


def test_lost_probe(half_open, clock):
    """A probe that never reports blocks the next for so long, not for ever."""
    assert half_open.allows()
    clock.seconds += SECONDS - 0.1
    assert not half_open.allows()

    clock.seconds += 0.1
    assert half_open.allows()


def test_room_half_open(half_open):
    """There is room for one probe, and a worker that asks again gets no second."""
    assert half_open.room(8) == 1
    assert half_open.room(8) == 0


def test_room_without_work(half_open, clock):
    """A worker that found nothing to claim has not used the probe up."""
    assert half_open.room(8) == 1
    clock.seconds += GRANT_SECONDS

    assert half_open.room(8) == 1


def test_room_while_a_probe_is_out(half_open, clock):
    """A probe that has started leaves no room until it reports or is given up."""
    assert half_open.room(8) == 1
    half_open.started()
    clock.seconds += SECONDS - 0.1
    assert half_open.room(8) == 0

    clock.seconds += 0.1
    assert half_open.room(8) == 1


def test_no_room_for_a_busy_worker(half_open):
    """A worker with no room of its own gets none."""
    assert half_open.room(0) == 0


def test_started_closed(breaker):
    """Closed, calls start without being counted."""
    breaker.started()

    assert breaker.room(8) == 8


@given(
    st.lists(
        st.sampled_from(["allows", "room", "started", "succeeded", "failed", "wait"])
    )
)
def test_never_stuck(steps):
    """Whatever happens, after twice the time at the latest a call goes through."""
    clock = Clock()
    breaker = Breaker(clock, failures=2, seconds=SECONDS)
    for step in steps:
        if step == "wait":
            clock.seconds += 7
        elif step == "room":
            breaker.room(4)
        else:
            getattr(breaker, step)()

    clock.seconds += 2 * SECONDS
    assert breaker.allows()
