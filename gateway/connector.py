"""The base class of a connector: how a competent service is reached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from gateway.model import (
    Address,
    Handover,
    Health,
    HealthStatus,
    Receipt,
    Semantics,
    ServiceId,
)
from gateway.plugin import Context, Section

ConfigT = TypeVar("ConfigT", bound=Section)


class Connector(ABC, Generic[ConfigT]):
    """How one service is reached; made once at start-up, cheaply and purely."""

    semantics: ClassVar[Semantics] = Semantics.BLIND
    """How the service's system treats a repeated hand-over."""

    grace_seconds: ClassVar[float] = 60.0
    """How long to wait for the other side's word on an unknown outcome."""

    def __init__(
        self, service: ServiceId, config: ConfigT, context: Context[Any]
    ) -> None:
        """Keep what is needed; open nothing yet."""
        self.service = service
        self.config = config
        self.context = context

    @abstractmethod
    async def deliver(self, handover: Handover) -> Receipt:
        """Hand a message over; return the other side's word.

        ``Receipt.external_id`` is the id by which an answer will refer to this
        delivery (for e-mail: the Message-ID).

        Raises:
            DeliveryError: with the retry decision as data.

        """

    async def resolve(self, handover: Handover) -> Receipt | None:
        """Ask whether the other side has this delivery; None if it hasn't.

        Called before a retry after an unknown outcome, if `semantics` is QUERYABLE.
        """
        raise NotImplementedError(handover.delivery_id)

    def may_answer(self, sender: Address) -> bool:
        """Tell whether ``sender`` may answer for this service; nobody, by default."""
        del sender
        return False

    async def check(self) -> Health:
        """Say how the service's system is, by connecting to it; send nothing."""
        return Health(status=HealthStatus.OK)

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class ConnectorType:
    """Name, configuration type and constructor: all there is to a registration."""

    name: str
    config: type[Section]
    factory: Callable[[ServiceId, Any, Context[Any]], Connector[Any]]
