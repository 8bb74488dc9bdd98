"""Whether what rings at the webhook is let in: a wrong secret must not go unseen."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from gateway.clock import Clock
from gateway.model import ChannelId, Health, HealthStatus

_PAUSE_SECONDS = 600.0
"""Between two lines of the log: whoever wants can ring with a wrong signature."""

_WELL = Health(status=HealthStatus.OK)
_REFUSED = Health(
    status=HealthStatus.DEGRADED,
    text=(
        "the last webhook was signed with another secret: if it was Meta's, nothing"
        " arrives until app_secrets has the secret of the app that sends it"
    ),
)


class Doorbell:
    """Remembers whether the last webhook was signed as it should be."""

    def __init__(
        self, channel: ChannelId, log: FilteringBoundLogger, clock: Clock
    ) -> None:
        """Nobody has rung yet."""
        self._log = log.bind(channel=channel)
        self._clock = clock
        self._said_at: float | None = None
        self.health = _WELL

    def let_in(self) -> None:
        """Note a good signature."""
        self.health = _WELL

    def refused(self, event: str) -> None:
        """Note a wrong signature, or a wrong word; say so now and then."""
        if event == "signature_refused":
            self.health = _REFUSED
        now = self._clock.monotonic()
        if self._said_at is None or now - self._said_at >= _PAUSE_SECONDS:
            self._said_at = now
            self._log.warning(event)
