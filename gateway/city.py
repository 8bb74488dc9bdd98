"""What the record needs to know of the city's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.cases import Joining, Numbering
from gateway.deadlines import Deadlines
from gateway.hours import Hours
from gateway.ladder import RUNGS, Ladder
from gateway.model import ChannelId, Manners, ServiceId
from gateway.texts import Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Texts, services, how cases are numbered, and the manners of each channel.

    ``hours``: of each service that has any, and under None those of the city.
    """

    texts: Texts
    services: Mapping[ServiceId, str]
    numbering: Numbering
    joining: Joining
    acknowledge: bool
    wait_for_attachments: timedelta
    ask_satisfaction: bool = False
    manners: Mapping[ChannelId, Manners] = field(default_factory=dict)
    hours: Mapping[ServiceId | None, Hours] = field(default_factory=dict)
    deadlines: Deadlines = field(default_factory=Deadlines)
    answer_ladder: tuple[str, ...] = RUNGS

    def manners_of(self, channel: str) -> Manners:
        """Return a channel's manners; plain ones if it is not configured any more."""
        return self.manners.get(ChannelId(channel), Manners())

    def hours_of(self, service: ServiceId | None) -> Hours | None:
        """Return a service's hours, else the city's; None if nothing is configured."""
        return self.hours.get(service) or self.hours.get(None)

    @property
    def ladder(self) -> Ladder:
        """Return what becomes of an answer that its channel can't take."""
        return Ladder(texts=self.texts, rungs=self.answer_ladder, manners=self.manners)

    @property
    def mirrors(self) -> frozenset[ChannelId]:
        """Return the channels whose provider keeps a list of who is blocked."""
        return frozenset(c for c, each in self.manners.items() if each.mirrors_blocks)
