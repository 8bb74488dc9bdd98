"""Who of several recipients has a mail, so that only the others are tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import DeliveryError
from gateway.model import DeliveryId
from gateway_email.smtp import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of a mail so far: who took it, and who never will (their codes)."""

    taken: frozenset[str] = frozenset()
    refused: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, value: Any) -> Tally:
        """Return what `to_json` gave; an empty one for None."""
        if not value:
            return cls()
        return cls(taken=frozenset(value["taken"]), refused=dict(value["refused"]))

    def to_json(self) -> dict[str, Any]:
        """Return what the plugin's state keeps."""
        return {"taken": sorted(self.taken), "refused": dict(self.refused)}

    def open(self, recipients: Sequence[str]) -> list[str]:
        """Return those who may still take the mail, in their order."""
        return [a for a in recipients if a not in self.taken and a not in self.refused]

    def or_afresh(self, recipients: Sequence[str], attempt: int) -> Tally:
        """Return this tally; an empty one if nobody is left and staff try it again.

        Their try is a first ``attempt``; what a crash has left open is a later one.
        """
        goes_on = self.open(recipients) or (self.taken and attempt > 1)
        return self if goes_on else Tally()

    def after(self, offered: Iterable[str], refusals: Sequence[Refusal]) -> Tally:
        """Return the tally after another attempt."""
        never = {each.address: each.code for each in refusals if each.is_permanent}
        not_now = {each.address for each in refusals}
        return Tally(
            taken=self.taken | (set(offered) - not_now),
            refused={**self.refused, **never},
        )


def key_of(delivery_id: DeliveryId) -> str:
    """Return the key under which the state keeps a delivery's tally."""
    return f"recipients:{delivery_id}"


def failure(
    tally: Tally,
    recipients: Sequence[str],
    refusals: Sequence[Refusal],
    external_id: str,
) -> DeliveryError | None:
    """Judge an attempt: None if the mail is sent, to all who will ever take it.

    It is worth another attempt as long as somebody's refusal is temporary.
    """
    waiting = bool(tally.open(recipients))
    if tally.taken and not waiting:
        return None
    if tally.taken or (tally.refused and waiting):
        code = "smtp_recipients_deferred"
    elif all(each.at_data for each in refusals):
        code = "smtp_data_refused"
    else:
        code = "smtp_recipients_refused"
    return DeliveryError(
        code,
        f"not taken by all: {told(tally, recipients, refusals)}",
        retryable=waiting,
        external_id=external_id if tally.taken else "",
    )


def told(
    tally: Tally, recipients: Sequence[str], refusals: Sequence[Refusal] = ()
) -> str:
    """Say what became of each: by name among several, who can only be an office's."""
    now = {each.address: each.code for each in refusals}
    codes = {**now, **tally.refused}
    if len(recipients) == 1:
        return f"server says {codes.get(recipients[0], 'nothing')}"
    words = [
        f"{address} {codes.get(address, 'taken')}"
        for address in recipients
        if address in codes or address in tally.taken
    ]
    return ", ".join(words)
