"""A circuit breaker: stops asking what keeps failing, and probes whether it is back."""

from __future__ import annotations

from enum import StrEnum

from gateway.clock import Clock

GRANT_SECONDS = 1.0
"""How long room for a probe is kept for whoever was told of it."""


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after ``failures`` in a row; after ``seconds`` lets one probe through.

    A caller that makes one call at a time asks `allows` and reports. A worker that
    claims work first asks `room`, calls `started` for each call, and reports. What is
    never reported (nothing to claim, a crash) blocks nobody for ever.
    """

    def __init__(self, clock: Clock, *, failures: int, seconds: float) -> None:
        self._clock = clock
        self._limit = failures
        self.seconds = seconds
        self._failures = 0
        self._opened_at: float | None = None
        self._taken_until = 0.0

    @property
    def state(self) -> BreakerState:
        """Whether calls go through; time alone turns open into half-open."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        if self._clock.monotonic() - self._opened_at < self.seconds:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    def allows(self) -> bool:
        """Tell whether to call now; half-open, yes makes that call the probe."""
        if self._opened_at is None:
            return True
        if not self._probe_is_free():
            return False
        self.started()
        return True

    def room(self, concurrency: int) -> int:
        """Return how many calls may begin now, ``concurrency`` at most.

        Half-open, room for the probe is told once and kept for `GRANT_SECONDS`: a
        worker that polls again before its claim has begun gets no second probe, and
        one that found nothing to do gives the room back by waiting.
        """
        if self._opened_at is None:
            return concurrency
        if not self._probe_is_free():
            return 0
        self._taken_until = self._clock.monotonic() + GRANT_SECONDS
        return min(concurrency, 1)

    def started(self) -> None:
        """Note that a call begins; half-open, it is the probe, for ``seconds``."""
        if self._opened_at is not None:
            self._taken_until = self._clock.monotonic() + self.seconds

    def succeeded(self) -> None:
        """Note a call that worked: the other side is back."""
        self._failures = 0
        self._opened_at = None
        self._taken_until = 0.0

    def failed(self) -> None:
        """Note a call that failed; the probe's failure opens again at once."""
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN or self._is_due_to_open():
            self._opened_at = self._clock.monotonic()
            self._taken_until = 0.0

    def _is_due_to_open(self) -> bool:
        return self._opened_at is None and self._failures >= self._limit

    def _probe_is_free(self) -> bool:
        return (
            self.state is BreakerState.HALF_OPEN
            and self._clock.monotonic() >= self._taken_until
        )
