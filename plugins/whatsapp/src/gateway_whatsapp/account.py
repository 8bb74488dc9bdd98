"""How our account at Meta is, from what its answers and statuses say."""

from __future__ import annotations

from http import HTTPStatus

from structlog.typing import FilteringBoundLogger

from gateway.connections import explain
from gateway.model import ChannelId, Health, HealthStatus
from gateway_whatsapp.errors import Action, Refusal, rule_of

_WELL = Health(status=HealthStatus.OK)


class Account:
    """The health of one number; the log says once that it is down, and up again."""

    def __init__(self, channel: ChannelId, log: FilteringBoundLogger) -> None:
        """Know nothing yet."""
        self._log = log.bind(channel=channel)
        self._answers = Health(status=HealthStatus.OK, text="not used yet")
        # Some faults, of payment for one, show in statuses only: Meta still takes
        # what we send.
        self._statuses = _WELL
        self._was_down = False

    @property
    def health(self) -> Health:
        """Return the worse of what answers and what statuses say."""
        down = self._statuses.status is HealthStatus.DOWN
        return self._statuses if down else self._answers

    def answered(self) -> None:
        """Note that Meta did as it was asked."""
        self._note(_WELL)

    def refused(self, refusal: Refusal) -> None:
        """Note what a refusal says about us."""
        rule = rule_of(refusal)
        if rule.action is Action.ACCOUNT:
            self._note(down(rule.text))
        elif rule.action is Action.RETRY:
            self._note(Health(status=HealthStatus.DEGRADED, text=rule.text))
        else:
            self._note(_WELL)

    def unreachable(self, error: BaseException) -> None:
        """Note that no answer came."""
        text = f"Meta's API can't be reached: {explain(error)}"
        self._note(Health(status=HealthStatus.DEGRADED, text=text))

    def told(self, code: str) -> None:
        """Note what a status says: a code of Meta's, "" if all went well."""
        known = code.isascii() and code.isdecimal()
        rule = rule_of(Refusal(status=HTTPStatus.OK, code=int(code))) if known else None
        if rule is not None and rule.action is Action.ACCOUNT:
            self._statuses = down(rule.text)
        elif not code:
            self._statuses = _WELL
        self._report()

    def _note(self, health: Health) -> None:
        self._answers = health
        self._report()

    def _report(self) -> None:
        health = self.health
        is_down = health.status is HealthStatus.DOWN
        if is_down and not self._was_down:
            self._log.error("account_down", reason=health.text)
        elif self._was_down and not is_down:
            self._log.info("account_up")
        self._was_down = is_down


def down(text: str) -> Health:
    """Return the health of what can't be used, and why."""
    return Health(status=HealthStatus.DOWN, text=text)
