"""The base class of a channel: one configured account through which citizens write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from aiohttp import web

from gateway.errors import AttachmentError
from gateway.model import (
    Address,
    AddressChange,
    Attachment,
    ChannelId,
    Enclosure,
    Health,
    HealthStatus,
    Inbound,
    Manners,
    Message,
    Original,
    Outgoing,
    Receipt,
    Semantics,
)
from gateway.plugin import Context, Section

ConfigT = TypeVar("ConfigT", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDef:
    """One HTTP route that a channel or plugin serves, below its own prefix.

    ``handler`` gets the raw request; its size is already capped. It answers by
    returning, or by raising an `aiohttp.web` HTTP error for a refusal (4xx).
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast the provider lets us send: ``per_second``, and ``burst`` at once.

    To all recipients together, or to ``each_recipient``.
    """

    per_second: float
    burst: int = 1
    each_recipient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A queue of those who share a way: ``width`` of them at once, in their order.

    On each node, that is; ``name`` is known to nobody but this channel.
    """

    name: str
    width: int


class Channel(ABC, Generic[ConfigT]):
    """One configured account through which citizens write.

    The gateway makes it once at start-up; the constructor is cheap and pure.
    """

    semantics: ClassVar[Semantics] = Semantics.BLIND
    """How the provider treats a repeated send."""

    grace_seconds: ClassVar[float] = 60.0
    """How long to wait for the provider's word on an unknown outcome before a retry."""

    def __init__(
        self, channel_id: ChannelId, config: ConfigT, context: Context[Any]
    ) -> None:
        """Keep what is needed; open nothing yet."""
        self.id = channel_id
        self.config = config
        self.context = context

    def routes(self) -> Iterable[RouteDef]:
        """Return the webhooks served under ``/channels/<id>/``."""
        return ()

    def carries(self, enclosure: Enclosure) -> bool:
        """Tell whether `send` can bring a file; if not, the citizen is told of it."""
        del enclosure
        return False

    def rates(self) -> Iterable[Rate]:
        """Return how fast `send` may be called, by all nodes together."""
        return ()

    def line(self, to: Address) -> Line | None:
        """Return the line in which a recipient waits, without keeping others waiting.

        For those beyond our provider that are slow by themselves; nobody, by default.
        """
        del to
        return None

    async def receive(self) -> None:
        """Receive for as long as the daemon runs, for channels that must fetch.

        Runs on one node at a time, supervised: if it raises, it is started again with
        backoff. Call ``self.context.inbox.accept`` and acknowledge only after it
        returned. The default has nothing to fetch and returns at once.
        """

    @abstractmethod
    def parse(self, inbound: Inbound) -> Message | Receipt | AddressChange:
        """Read one stored item; pure.

        ``Message.id`` must be ``inbound.id``.

        Raises:
            PayloadError: it can't be read; it is kept and shown to staff.

        """

    async def read(self, inbound: Inbound) -> Message | Receipt | AddressChange:
        """Read one stored item, as the gateway does; the default calls `parse`.

        For channels whose items are dangerous to read: in a child process, say. Must
        be done in less than half a lease (30 s).

        Raises:
            PayloadError: it can't be read; it is kept and shown to staff.
            Overloaded: there was no room; it is tried again later.

        """
        return self.parse(inbound)

    @abstractmethod
    async def send(self, outgoing: Outgoing) -> Receipt:
        """Send to the citizen; return the provider's word, with its id.

        Raises:
            DeliveryError: with the retry decision as data.

        """

    async def resolve(self, outgoing: Outgoing) -> Receipt | None:
        """Ask the provider whether it has this delivery; None if it hasn't.

        Called before a retry after an unknown outcome, if `semantics` is QUERYABLE.
        """
        raise NotImplementedError(outgoing.delivery_id)

    def fetch(self, original: Original, attachment: Attachment) -> AsyncIterator[bytes]:
        """Stream the bytes of an attachment.

        Raises:
            AttachmentError: they can't be had (now or ever).

        """
        raise AttachmentError(
            "no_attachments",
            f"channel {self.id} has no attachments: {original.id} {attachment.name}",
            retryable=False,
        )

    async def set_blocked(self, address: Address, *, blocked: bool) -> str | None:
        """Let the provider's own list of blocked people say the same as ours.

        Called if `Manners.mirrors_blocks`, with the address of the conversation; may
        be repeated. Returns None once it is so, or the code of why the provider will
        not have it: that is noted, and no more, for the gateway refuses their messages
        anyway.

        Raises:
            DeliveryError: with the retry decision as data.

        """
        raise NotImplementedError(address.scheme, blocked)

    async def check(self) -> Health:
        """Say how the account is, by connecting to it; send nothing."""
        return Health(status=HealthStatus.OK)

    def health(self) -> Health:
        """Say how the account is, from what is known; at once, without network."""
        return Health(status=HealthStatus.OK)

    async def close(self) -> None:
        """Let go of connections."""


_PLAIN = Manners()


@dataclass(frozen=True, slots=True)
class ChannelType:
    """Name, configuration type, constructor and manners: all of a registration."""

    name: str
    config: type[Section]
    factory: Callable[[ChannelId, Any, Context[Any]], Channel[Any]]
    manners: Manners = _PLAIN
